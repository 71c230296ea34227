"""Sorting channels: the largest network stays what it was, and the leading channels are the important ones."""

from __future__ import annotations

import pytest
import torch

from mosegnet.modules import Network
from search.supernet import sorting
from search.supernet.batch_norm import reestimate
from search.supernet.tasks import Classifier


@pytest.fixture
def network(micro_space) -> Network:
    torch.manual_seed(0)
    return Network(micro_space.decode(micro_space.largest())).double().eval()  # another order of summation is no matter


def sort(network: Network, *beside: dict[str, torch.Tensor]) -> None:
    tensors = network.state_dict()
    for channels in (*sorting.middle_channels(network), *sorting.output_channels(network)):
        order = sorting.order_of(channels, tensors)
        for kept in (tensors, *beside):
            sorting.permute(channels, order, kept)


def test_the_largest_network_computes_what_it_did(network: Network) -> None:
    for name, tensor in network.state_dict().items():
        if "bn." in name and tensor.is_floating_point():  # no two channels alike, in any of their tensors
            tensor.add_(torch.rand_like(tensor) * 0.3)
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    reestimate(network, [image])
    with torch.no_grad():
        before = network(image)
        weights = [parameter.clone() for parameter in network.parameters()]
        sort(network)
        after = network(image)
    torch.testing.assert_close(after, before)
    assert not all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))


def test_every_set_of_channels_is_in_order_afterwards(network: Network) -> None:
    sort(network)
    sets = [*sorting.middle_channels(network), *sorting.output_channels(network)]
    middle = [channels for channels in sets if channels.producers[0].endswith("conv1")]
    for channels in middle:  # what reads them was not sorted after them
        order = sorting.order_of(channels, network.state_dict())
        assert order.tolist() == list(range(len(order)))


def test_what_is_kept_beside_the_weights_follows_them(network: Network) -> None:
    momentum = {name: parameter.detach() * 3 for name, parameter in network.named_parameters()}
    sort(network, momentum)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(momentum[name], parameter * 3)


def test_a_classifier_reads_the_sorted_channels(network: Network) -> None:
    whole = Classifier(network, 7).double().eval()
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    tensors = {name.removeprefix("network."): tensor for name, tensor in whole.state_dict().items()}
    with torch.no_grad():
        before = whole(image)
        for channels in sorting.output_channels(network):
            sorting.permute(channels, sorting.order_of(channels, tensors), tensors)
        torch.testing.assert_close(whole(image), before)
