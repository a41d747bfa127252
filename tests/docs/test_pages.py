from pages import spread


def test_heavy_pages_are_dealt_out_evenly_and_none_is_lost():
    light = [f"api/{i:02}" for i in range(40)] + [f"themes/{i:02}" for i in range(20)]
    heavy = [f"notebooks/{i}" for i in range(6)]
    found = spread(sorted([*light, *heavy]), "notebooks/")
    assert sorted(found) == sorted([*light, *heavy])
    assert [name for name in found if name in light] == light
    places = [found.index(name) for name in heavy]
    assert places == [0, 11, 22, 33, 44, 55]  # as many light ones between them
    assert spread(light, "notebooks/") == light
