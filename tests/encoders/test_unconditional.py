import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.encoders.unconditional import UnconditionalEncoder


@given(st.lists(st.text(), min_size=1))
def test_whatever_it_is_told_z_is_its_one_vector(descriptors: list[str]) -> None:
    encoder = UnconditionalEncoder(width=4)
    z = encoder(encoder.prepare(descriptors))
    assert torch.equal(z, encoder.embedding.weight.expand(len(descriptors), -1))
