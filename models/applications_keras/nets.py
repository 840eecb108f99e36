"""MobileNetV2 and ResNet-50 as Keras ships them, with seeded random weights."""

from collections.abc import Callable

import keras

SEED = 0


def mobilenet_v2() -> keras.Model:
    """Make MobileNetV2 (3.54 million numbers, those of batch normalization among them).

    Returns:
        A model from images ``[N, 224, 224, 3]`` float32 to probabilities ``[N, 1000]``.
    """
    return _seeded(keras.applications.MobileNetV2)


def resnet50() -> keras.Model:
    """Make ResNet-50 (25.64 million numbers, those of batch normalization among them).

    Returns:
        A model from images ``[N, 224, 224, 3]`` float32 to probabilities ``[N, 1000]``.
    """
    return _seeded(keras.applications.ResNet50)


def build() -> keras.Model:
    """Make the smaller of the two, :func:`mobilenet_v2`."""
    return mobilenet_v2()


def _seeded(make: Callable[..., keras.Model]) -> keras.Model:
    """Draw weights, and let noise on eight colours pass, so that all layers have a sane scale."""
    keras.utils.set_random_seed(SEED)
    network = make(weights=None)
    norms = [each for each in network.layers if hasattr(each, "moving_variance")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    colours = keras.random.normal((8, 1, 1, 3), seed=SEED)
    network(colours + keras.random.normal((8, 224, 224, 3), seed=SEED + 1), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network
