import jax
import numpy as np

from motion_transformer_jax.configs import demo
from motion_transformer_jax.models.animation_model import AnimationModel, create_animation_model


def test_initialising_traces_one_estimate(monkeypatch):
    """Of two images only when the model is applied: to trace a large estimator takes seconds."""
    estimated = []
    estimate = AnimationModel.estimate
    monkeypatch.setattr(AnimationModel, "estimate", lambda self, image: estimated.append(1) or estimate(self, image))
    model = create_animation_model(demo.get_config("fomm,debug"))
    image = np.zeros((1, 32, 32, 3), np.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image, image)
    assert len(estimated) == 1
    jax.eval_shape(model.apply, variables, image, image)
    assert len(estimated) == 3
