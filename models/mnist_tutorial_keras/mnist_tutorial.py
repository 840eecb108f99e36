"""The convolutional network of TensorFlow Lite's post-training tutorials, in Keras 3."""

import keras


def build() -> keras.Sequential:
    """Build the network with fresh weights.

    Returns:
        A model from images ``[N, 28, 28]`` float32, 0 to 1, to logits ``[N, 10]``.
    """
    return keras.Sequential(
        [
            keras.layers.Input((28, 28), name="image"),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(12, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="logits"),
        ],
        name="mnist_tutorial",
    )
