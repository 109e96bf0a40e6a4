"""Keras: the loop of its guide to transfer learning, with a frozen network and a new Dense layer."""

import keras


def read(folder, shuffle):
    return keras.utils.image_dataset_from_directory(
        folder, image_size=(224, 224), batch_size=32, shuffle=shuffle, verbose=False
    )


def fit(folder, weights, seed):
    keras.utils.set_random_seed(seed)
    images = read(folder, shuffle=True)
    base = keras.applications.MobileNetV2(include_top=False, weights=weights, pooling="avg")
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    features = base(keras.applications.mobilenet_v2.preprocess_input(inputs), training=False)
    features = keras.layers.Dropout(0.2)(features)
    model = keras.Model(inputs, keras.layers.Dense(len(images.class_names), activation="softmax")(features))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(images, epochs=10, verbose=0)
    return model


def predict(model, folder):
    images = read(folder, shuffle=False)
    return images.file_paths, model.predict(images, verbose=0)


def save(model, path):
    model.save(f"{path}.keras")


def load(path):
    return keras.saving.load_model(f"{path}.keras")


def refit(model, folder):
    model.fit(read(folder, shuffle=True), epochs=10, verbose=0)
    return model
