"""A small Prompt Guard for MLServer: ids in, logits out."""

import pathlib

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class PromptGuard(MLModel):
    """The ONNX file that the settings name."""

    async def load(self):
        path = pathlib.Path(self.settings.parameters.uri)
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        (logits,) = self._session.run(["logits"], inputs)
        outputs = [NumpyCodec.encode_output("logits", logits)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
