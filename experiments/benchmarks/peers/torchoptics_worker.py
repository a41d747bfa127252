"""torchoptics as an engine, with the same Fresnel transfer function on the same padded grid.

Variant "documented" calls `Field.propagate_to_z` for each layer; variant "prepared" computes the
transfer function once and applies it with the function that `propagate_to_z` itself calls. Its
transfer function holds the carrier exp(i k z), which no intensity sees.
"""

from worker import serve


def build(task, arrays):
    """Prepares modulators, optimiser and fields."""
    import os

    import torch  # pyright: ignore
    import torchoptics  # pyright: ignore
    from torchoptics.elements import PhaseModulator  # pyright: ignore
    from torchoptics.propagation import angular_spectrum_method as asm  # pyright: ignore

    torch.set_num_threads(os.cpu_count() or 1)
    torchoptics.set_default_dtype(torch.float32)  # its own default is twice as wide
    torchoptics.set_default_spacing(task["pixel_pitch"])
    torchoptics.set_default_wavelength(task["wavelength"])
    width, distance = task["shape"][0] // 2, task["distance"]
    inputs = torchoptics.Field(torch.from_numpy(arrays["fields"]))
    target = torch.from_numpy(arrays["target"])

    def masks():
        phases = (torch.nn.Parameter(torch.from_numpy(p.copy())) for p in arrays["phases"])
        return [PhaseModulator(phase, z=i * distance) for i, phase in enumerate(phases)]

    padding = torch.tensor([width, width])
    kernel = asm.calculate_transfer_function(inputs, torch.tensor(distance), padding, "ASM_FRESNEL")

    def documented(field):
        options = {"propagation_method": "ASM_FRESNEL", "asm_pad": (width, width)}
        return field.propagate_to_z(field.z + distance, **options)

    def prepared(field):
        wide = asm.apply_transfer_function(kernel, field, padding)
        window = wide[..., width:-width, width:-width]
        return field.copy(data=window, z=field.z + distance)

    propagate = {"documented": documented, "prepared": prepared}[task["variant"]]

    def intensity(elements):
        field = inputs
        for element in elements:
            field = propagate(element(field))
        return field.intensity()

    class Training:
        def __init__(self):
            self.versions = {"torch": torch.__version__, "torchoptics": torchoptics.__version__}
            self._masks = masks()
            parameters = [p for mask in self._masks for p in mask.parameters()]
            self._optimiser = torch.optim.Adam(parameters, lr=task["learning_rate"])

        def step(self):
            self._optimiser.zero_grad()
            torch.mean((intensity(self._masks) - target) ** 2).backward()
            self._optimiser.step()

        def check(self):
            elements = masks()
            seen = intensity(elements)
            loss = torch.mean((seen - target) ** 2)
            loss.backward()
            gradient = torch.stack([p.grad for mask in elements for p in mask.parameters()])
            return {
                "loss": loss.detach().numpy(),
                "gradient": gradient.numpy(),
                "intensity": seen.detach().numpy(),
            }

    return Training()


if __name__ == "__main__":
    serve(build)
