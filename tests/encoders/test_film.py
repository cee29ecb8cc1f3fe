import torch

from mtil.encoders.film import FiLM


def test_is_the_identity_at_first() -> None:
    features, z = torch.randn(3, 5), torch.randn(3, 2)
    assert torch.equal(FiLM(2, 5)(features, z), features)


def test_scales_and_shifts_by_z() -> None:
    film = FiLM(1, 2)
    with torch.no_grad():
        film.modulation.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))  # gamma, then beta
    found = film(torch.tensor([[10.0, 100.0]]), torch.tensor([[0.5]]))
    torch.testing.assert_close(found, torch.tensor([[10 * 1.5 + 1.5, 100 * 2.0 + 2.0]]))


def test_treats_all_places_of_a_map_alike() -> None:
    film = FiLM(2, 5)
    torch.nn.init.normal_(film.modulation.weight)
    maps, z = torch.randn(3, 5, 2, 4), torch.randn(3, 2)
    assert torch.equal(film(maps, z)[:, :, 1, 3], film(maps[:, :, 1, 3], z))


def test_learns_from_the_first_step() -> None:
    film = FiLM(2, 5)
    film(torch.randn(3, 5), torch.randn(3, 2)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in film.parameters())
