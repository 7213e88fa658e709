import numpy as np
import pytest
from PIL import Image, features

from motion_transformer_jax.data.image import IMAGE_SUFFIXES, image_size, over_white, read_image, resize_image
from motion_transformer_jax.errors import UserError


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)
    return path


def gradient(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), x * 0 + 90], -1).astype(np.uint8)


def test_rgb_is_read_as_it_is(tmp_path):
    image = gradient(7, 9)
    np.testing.assert_array_equal(read_image(save(image, tmp_path / "a.png")), image)


@pytest.mark.parametrize("name", ["источник.png", "a:b.png", "a b%03d.png", "no_suffix"])
def test_odd_names(tmp_path, name):
    image = gradient(4, 4)
    np.testing.assert_array_equal(read_image(save(image, tmp_path / name, format="PNG")), image)


def test_greyscale_is_repeated_over_the_channels(tmp_path):
    grey = gradient(5, 6)[..., 0]
    np.testing.assert_array_equal(read_image(save(grey, tmp_path / "a.png")), np.repeat(grey[..., None], 3, -1))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    deep = np.array([[0, 257, 32896, 65535]], np.uint16)
    np.testing.assert_array_equal(read_image(save(deep, tmp_path / "a.png"))[..., 0], [[0, 1, 128, 255]])


@pytest.mark.parametrize("full", [1, 255, 65535])
def test_floating_point_grey_is_scaled_by_its_range(tmp_path, full):
    deep = np.array([[0, 0.2, 0.5, 1]], np.float32) * full
    np.testing.assert_array_equal(read_image(save(deep, tmp_path / "a.tif"))[..., 1], [[0, 51, 128, 255]])


@pytest.mark.parametrize("odd", [-0.5, 1e6, np.nan])
def test_floating_point_grey_without_a_known_range(tmp_path, odd):
    path = save(np.array([[0, 0.2, odd]], np.float32), tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif \(its floating-point values are .*, expected 0 to 1, 255 or 65535\)"):
        read_image(path)


def test_of_a_gif_the_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((5, 6, 3), shade, np.uint8)) for shade in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert image_size(tmp_path / "a.gif") == (5, 6)
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.full((5, 6, 3), 40))


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_avif(tmp_path):
    path = save(gradient(16, 24), tmp_path / "a.avif", quality=100)
    assert image_size(path) == (16, 24) and ".avif" in IMAGE_SUFFIXES
    assert np.abs(read_image(path).astype(int) - gradient(16, 24)).mean() < 6


def test_palette(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = (10, 200, 30)
    Image.fromarray(image).quantize(4).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


@pytest.mark.filterwarnings("default")
def test_palette_with_transparency_goes_over_white_without_a_warning(tmp_path, recwarn):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode=None)
    picture = picture.convert("P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    recwarn.clear()
    white, blue = [255, 255, 255], [0, 0, 255]
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[white, blue], [blue, white]])
    assert not recwarn.list


def test_alpha_is_laid_over_white(tmp_path):
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    expected = [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    np.testing.assert_array_equal(over_white(rgba), expected)
    np.testing.assert_array_equal(read_image(save(rgba, tmp_path / "a.png")), expected)


def test_grey_with_alpha_is_laid_over_white(tmp_path):
    Image.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0, :, 0], [255, 0])


def test_cmyk(tmp_path):
    Image.fromarray(gradient(16, 16)).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - gradient(16, 16)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((6, 10, 3), np.uint8)
    upright[:3, :5] = 255  # bright in the upper left
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = undo[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(np.ascontiguousarray(stored), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), upright)
    assert image_size(tmp_path / "a.png") == (6, 10)


@pytest.mark.parametrize(("have", "want"), [((1, 1), (64, 64)), ((1, 50), (8, 8)), ((37, 19), (1, 1))])
def test_extreme_sizes_are_resized(have, want):
    resized = resize_image(np.full((*have, 3), 77, np.uint8), want)
    assert resized.shape == (*want, 3)
    assert (resized == 77).all()


def test_resizing_crops_the_centre_and_stretches_nothing():
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 255  # exactly the centre square
    assert resize_image(wide, (20, 20)).min() > 230  # the margins touch it through the filter's skirt alone
    assert resize_image(wide.swapaxes(0, 1), (20, 20)).min() > 230
    tall = np.zeros((100, 40, 3), np.uint8)
    tall[45:55] = 255
    assert resize_image(tall, (10, 40)).min() > 230


def test_resizing_is_anti_aliased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize_image(stripes, (16, 16)).astype(int) - 127).max() <= 12


def test_result_can_be_written_to(tmp_path):
    path = save(gradient(8, 8), tmp_path / "a.png")
    read_image(path)[:] = 0
    read_image(path, size=(4, 4))[:] = 0


def test_large_image_is_read(tmp_path):
    Image.new("L", (8000, 8000), 128).save(tmp_path / "a.png", compress_level=1)
    assert image_size(tmp_path / "a.png") == (8000, 8000)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", size=(4, 4)), np.full((4, 4, 3), 128))


def test_missing_image(tmp_path):
    with pytest.raises(UserError, match="there is no image"):
        read_image(tmp_path / "a.png")


def test_folder_is_no_image(tmp_path):
    with pytest.raises(UserError, match="cannot read the image"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello\n" * 50])
def test_text_is_no_image(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="not an image"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_truncated_image_is_one_line(tmp_path, suffix):
    path = save(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"whole|not an image") as error:
        read_image(path)
    assert "\n" not in str(error.value)
