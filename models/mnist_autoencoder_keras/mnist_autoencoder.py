"""A convolutional autoencoder for MNIST's images, in Keras 3."""

import keras

CODE = 32


def build() -> keras.Sequential:
    """Build the network with fresh weights.

    Returns:
        A model from images ``[N, 28, 28]`` float32, 0 to 1, over a code of 32 numbers, to the
        images that it makes of the code, of the same shape and range.
    """
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28), name="image"),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(CODE, name="code"),
            layers.Dense(7 * 7 * 32, activation="relu"),
            layers.Reshape((7, 7, 32)),
            layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
            layers.Reshape((28, 28), name="restored"),
        ],
        name="mnist_autoencoder",
    )
