"""The backbones that skcnn knows, as a table: listing them takes no Keras and builds nothing.

Sizes, channels and counts were measured by building each network without its classifier in Keras 3.15. The layers
stand where the resolution is about to fall: a quarter of the image's, an eighth, a sixteenth; and at the end.
"""

from __future__ import annotations

from skcnn.backbones._backbone import Backbone
from skcnn.backbones._classic import alexnet, lenet5, resnet34
from skcnn.backbones._layers import BottleneckLayer
from skcnn.backbones._pixels import Preprocessing
from skcnn.backbones._shipped import RESNET20_CIFAR10, RESNET20_CIFAR10_SHA256, ShippedBackbone, resnet20


def _application(
    name: str,
    size: int,
    preprocessing: Preprocessing,
    n_parameters: int,
    *layers: tuple[str, int] | tuple[str, int, int],
) -> Backbone:
    """Make the entry of a network of ``keras.applications``; a layer is (name, channels[, index in operations])."""
    # ConvNeXt's last layer is the normalisation that keras.applications puts after the pooling, if there is one.
    pool_first = name.startswith("ConvNeXt")
    return Backbone(
        name=name,
        image_size=(size, size),
        preprocessing=preprocessing,
        layers=tuple(
            BottleneckLayer(
                layer[0], layer[-1] if len(layer) == 3 else layer[0], layer[1], pool_first and layer[-1] == -1
            )
            for layer in layers
        ),
        n_parameters=n_parameters,
        weights=("imagenet",),
        builder=f"keras.applications.{name}",
    )


# fmt: off
_BACKBONES = (
    _application(
        "ConvNeXtBase", 224, "none", 87_566_464,
        ("stage_0_block_2", 128, 26),
        ("stage_1_block_2", 256, 51),
        ("stage_2_block_26", 512, 268),
        ("output", 1024, -1),
    ),
    _application(
        "ConvNeXtLarge", 224, "none", 196_230_336,
        ("stage_0_block_2", 192, 26),
        ("stage_1_block_2", 384, 51),
        ("stage_2_block_26", 768, 268),
        ("output", 1536, -1),
    ),
    _application(
        "ConvNeXtSmall", 224, "none", 49_454_688,
        ("stage_0_block_2", 96, 26), ("stage_1_block_2", 192, 51), ("stage_2_block_26", 384, 268), ("output", 768, -1),
    ),
    _application(
        "ConvNeXtTiny", 224, "none", 27_820_128,
        ("stage_0_block_2", 96, 26), ("stage_1_block_2", 192, 51), ("stage_2_block_8", 384, 124), ("output", 768, -1),
    ),
    _application(
        "ConvNeXtXLarge", 224, "none", 348_147_968,
        ("stage_0_block_2", 256, 26),
        ("stage_1_block_2", 512, 51),
        ("stage_2_block_26", 1024, 268),
        ("output", 2048, -1),
    ),
    _application(
        "DenseNet121", 224, "torch", 7_037_504,
        ("pool2_relu", 256), ("pool3_relu", 512), ("pool4_relu", 1024), ("relu", 1024),
    ),
    _application(
        "DenseNet169", 224, "torch", 12_642_880,
        ("pool2_relu", 256), ("pool3_relu", 512), ("pool4_relu", 1280), ("relu", 1664),
    ),
    _application(
        "DenseNet201", 224, "torch", 18_321_984,
        ("pool2_relu", 256), ("pool3_relu", 512), ("pool4_relu", 1792), ("relu", 1920),
    ),
    _application(
        "EfficientNetB0", 224, "none", 4_049_571,
        ("block2b_add", 24), ("block3b_add", 40), ("block5c_add", 112), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetB1", 240, "none", 6_575_239,
        ("block2c_add", 24), ("block3c_add", 40), ("block5d_add", 112), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetB2", 260, "none", 7_768_569,
        ("block2c_add", 24), ("block3c_add", 48), ("block5d_add", 120), ("top_activation", 1408),
    ),
    _application(
        "EfficientNetB3", 300, "none", 10_783_535,
        ("block2c_add", 32), ("block3c_add", 48), ("block5e_add", 136), ("top_activation", 1536),
    ),
    _application(
        "EfficientNetB4", 380, "none", 17_673_823,
        ("block2d_add", 32), ("block3d_add", 56), ("block5f_add", 160), ("top_activation", 1792),
    ),
    _application(
        "EfficientNetB5", 456, "none", 28_513_527,
        ("block2e_add", 40), ("block3e_add", 64), ("block5g_add", 176), ("top_activation", 2048),
    ),
    _application(
        "EfficientNetB6", 528, "none", 40_960_143,
        ("block2f_add", 40), ("block3f_add", 72), ("block5h_add", 200), ("top_activation", 2304),
    ),
    _application(
        "EfficientNetB7", 600, "none", 64_097_687,
        ("block2g_add", 48), ("block3g_add", 80), ("block5j_add", 224), ("top_activation", 2560),
    ),
    _application(
        "EfficientNetV2B0", 224, "none", 5_919_312,
        ("block2b_add", 32), ("block3b_add", 48), ("block5e_add", 112), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetV2B1", 240, "none", 6_931_124,
        ("block2c_add", 32), ("block3c_add", 48), ("block5f_add", 112), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetV2B2", 260, "none", 8_769_374,
        ("block2c_add", 32), ("block3c_add", 56), ("block5f_add", 120), ("top_activation", 1408),
    ),
    _application(
        "EfficientNetV2B3", 300, "none", 12_930_622,
        ("block2c_add", 40), ("block3c_add", 56), ("block5g_add", 136), ("top_activation", 1536),
    ),
    _application(
        "EfficientNetV2L", 480, "none", 117_746_848,
        ("block2g_add", 64), ("block3g_add", 96), ("block5s_add", 224), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetV2M", 480, "none", 53_150_388,
        ("block2e_add", 48), ("block3e_add", 80), ("block5n_add", 176), ("top_activation", 1280),
    ),
    _application(
        "EfficientNetV2S", 384, "none", 20_331_360,
        ("block2d_add", 48), ("block3d_add", 64), ("block5i_add", 160), ("top_activation", 1280),
    ),
    _application(
        "InceptionResNetV2", 299, "tf", 54_336_736,
        ("block35_10_ac", 320), ("block17_20_ac", 1088), ("conv_7b_ac", 1536),
    ),
    _application("InceptionV3", 299, "tf", 21_802_784, ("mixed2", 288), ("mixed7", 768), ("mixed10", 2048)),
    _application(
        "MobileNet", 224, "tf", 3_228_864,
        ("conv_pw_3_relu", 128), ("conv_pw_5_relu", 256), ("conv_pw_11_relu", 512), ("conv_pw_13_relu", 1024),
    ),
    _application(
        "MobileNetV2", 224, "tf", 2_257_984,
        ("block_2_add", 24), ("block_5_add", 32), ("block_12_add", 96), ("out_relu", 1280),
    ),
    _application(
        "MobileNetV3Large", 224, "none", 2_996_352,
        ("expanded_conv_2_add", 24), ("expanded_conv_5_add", 40), ("expanded_conv_11_add", 112), ("output", 960, -1),
    ),
    _application(
        "MobileNetV3Small", 224, "none", 939_120,
        ("expanded_conv_project_bn", 16), ("expanded_conv_2_add", 24), ("expanded_conv_7_add", 48), ("output", 576, -1),
    ),
    _application(
        "NASNetLarge", 331, "tf", 84_916_818,
        ("reduction_concat_stem_1", 168), ("normal_concat_5", 1008), ("normal_concat_12", 2016), ("output", 4032, -1),
    ),
    _application(
        "NASNetMobile", 224, "tf", 4_269_716,
        ("reduction_concat_stem_1", 44), ("normal_concat_3", 264), ("normal_concat_8", 528), ("output", 1056, -1),
    ),
    _application(
        "ResNet101", 224, "caffe", 42_658_176,
        ("conv2_block3_out", 256), ("conv3_block4_out", 512), ("conv4_block23_out", 1024), ("conv5_block3_out", 2048),
    ),
    _application(
        "ResNet101V2", 224, "tf", 42_626_560,
        ("conv2_block3_preact_relu", 256),
        ("conv3_block4_preact_relu", 512),
        ("conv4_block23_preact_relu", 1024),
        ("post_relu", 2048),
    ),
    _application(
        "ResNet152", 224, "caffe", 58_370_944,
        ("conv2_block3_out", 256), ("conv3_block8_out", 512), ("conv4_block36_out", 1024), ("conv5_block3_out", 2048),
    ),
    _application(
        "ResNet152V2", 224, "tf", 58_331_648,
        ("conv2_block3_preact_relu", 256),
        ("conv3_block8_preact_relu", 512),
        ("conv4_block36_preact_relu", 1024),
        ("post_relu", 2048),
    ),
    _application(
        "ResNet50", 224, "caffe", 23_587_712,
        ("conv2_block3_out", 256), ("conv3_block4_out", 512), ("conv4_block6_out", 1024), ("conv5_block3_out", 2048),
    ),
    _application(
        "ResNet50V2", 224, "tf", 23_564_800,
        ("conv2_block3_preact_relu", 256),
        ("conv3_block4_preact_relu", 512),
        ("conv4_block6_preact_relu", 1024),
        ("post_relu", 2048),
    ),
    _application(
        "VGG16", 224, "caffe", 14_714_688,
        ("block1_pool", 64), ("block2_pool", 128), ("block3_pool", 256), ("block4_pool", 512), ("block5_pool", 512),
    ),
    _application(
        "VGG19", 224, "caffe", 20_024_384,
        ("block1_pool", 64), ("block2_pool", 128), ("block3_pool", 256), ("block4_pool", 512), ("block5_pool", 512),
    ),
    _application(
        "Xception", 299, "tf", 20_861_480,
        ("block3_sepconv1_act", 128),
        ("block4_sepconv1_act", 256),
        ("block13_sepconv1_act", 728),
        ("block14_sepconv2_act", 2048),
    ),
    ShippedBackbone(
        name="ResNet20",
        image_size=(32, 32),
        preprocessing="tf",
        layers=(
            BottleneckLayer("stage1_unit3", "stage1_unit3", 16),
            BottleneckLayer("stage2_unit3", "stage2_unit3", 32),
            BottleneckLayer("stage3_unit3", "stage3_unit3", 64),
        ),
        n_parameters=270_448,
        weights=("cifar10",),
        builder=resnet20,
        path=RESNET20_CIFAR10,
        sha256=RESNET20_CIFAR10_SHA256,
    ),
    Backbone(
        name="LeNet5",
        image_size=(32, 32),
        preprocessing="tf",
        layers=(
            BottleneckLayer("pool1", "pool1", 6),
            BottleneckLayer("pool2", "pool2", 16),
            BottleneckLayer("conv3", "conv3", 120),
        ),
        n_parameters=50_992,
        weights=(),
        builder=lenet5,
    ),
    Backbone(
        name="AlexNet",
        image_size=(227, 227),
        preprocessing="tf",
        layers=(
            BottleneckLayer("pool1", "pool1", 96),
            BottleneckLayer("pool2", "pool2", 256),
            BottleneckLayer("pool5", "pool5", 256),
        ),
        n_parameters=3_747_200,
        weights=(),
        builder=alexnet,
    ),
    Backbone(
        name="ResNet34",
        image_size=(224, 224),
        preprocessing="torch",
        layers=(
            BottleneckLayer("stage1_unit3", "stage1_unit3", 64),
            BottleneckLayer("stage2_unit4", "stage2_unit4", 128),
            BottleneckLayer("stage3_unit6", "stage3_unit6", 256),
            BottleneckLayer("stage4_unit3", "stage4_unit3", 512),
        ),
        n_parameters=21_301_696,
        weights=(),
        builder=resnet34,
    ),
)
# fmt: on

#: By name.
TABLE: dict[str, Backbone] = {backbone.name: backbone for backbone in _BACKBONES}
