import pytest

from motion_transformer_jax.data.camera import read_camera
from motion_transformer_jax.errors import UserError


@pytest.mark.parametrize("device", ["/dev/video97", "/dev/null", __file__])
@pytest.mark.parametrize("options", [{}, {"size": (64, 48), "fps": 25.0}])
def test_no_camera_is_told_by_the_call(device, options):
    with pytest.raises(UserError, match=rf"cannot open the camera {device} \(.+\); expected a Video4Linux device"):
        read_camera(device, **options)
