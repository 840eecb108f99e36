"""The registry of codes that errors and findings share.

A code has one meaning, which stands here, and one test that provokes it. 1xx: input and data,
conversion, quantization, processes and output; 2xx: speed; 3xx: limits that the user gave;
4xx: accuracy.
"""

CODES: dict[str, str] = {
    "OQ100": "Options are bad or contradict each other.",
    "OQ101": "The model file or folder does not exist or cannot be read.",
    "OQ102": "The kind of the model cannot be told from what was given.",
    "OQ103": "The file holds weights only, not a model.",
    "OQ104": "The file is truncated or is not what its suffix says.",
    "OQ105": "The factory or function that was named does not exist.",
    "OQ106": "The factory or function cannot be called without arguments, or fails when called.",
    "OQ107": "The weights do not fit the module.",
    "OQ108": "A package that is needed is not installed.",
    "OQ109": "The file would run code when it is loaded; it is not trusted.",
    "OQ110": "The model is quantized already.",
    "OQ111": "The model needs something that onnxq or onnxruntime cannot do.",
    "OQ112": "The input signature is not known or contradicts what was declared.",
    "OQ113": "A weight holds values that are not finite.",
    "OQ114": "A step of the preparation was left out: its result was not equal.",
    "OQ115": "The preparation could not be checked by running the model.",
    "OQ116": "The graph was rewritten for the quantizers.",
    "OQ117": "Options were not typed: a file or an environment variable says them.",
    "OQ118": "The SavedModel has no signature of that name.",
    "OQ119": "Keras ran on PyTorch, because TensorFlow is not installed.",
    "OQ120": "Inputs or outputs are integers that stand for real numbers.",
    "OQ121": "The rows do not fit the model's inputs.",
    "OQ122": "The dtype of an array cannot be fed to the model's input.",
    "OQ123": "A row holds values that are not finite.",
    "OQ124": "There are no rows, or too few for what was asked.",
    "OQ125": "Labels are missing, malformed or out of range.",
    "OQ126": "The preprocessing cannot be parsed or does not apply to these rows.",
    "OQ127": "The data cannot be read.",
    "OQ128": "An array was cast to the input's dtype.",
    "OQ129": "The layout of image rows was changed to the model's.",
    "OQ130": "Labels were converted, or may mean something else than they seem to.",
    "OQ131": "The float model is at chance level: preprocessing or labels are wrong.",
    "OQ132": "Rotation tags in image files were not applied.",
    "OQ133": "The data could be read in more than one way; this is how it was read.",
    "OQ134": "The metric does not fit the labels and outputs, or is not defined on these rows.",
    "OQ135": "A metric of the user's does not say its direction; higher is taken as better.",
    "OQ141": "Calibration rows are also evaluation rows.",
    "OQ143": "Activations are not finite on some rows; they were left out of the ranges.",
    "OQ144": "An activation's range holds values of a mask, or is out of proportion.",
    "OQ145": "An activation is constant on all calibration rows.",
    "OQ151": "The framework or its exporter failed.",
    "OQ152": "The exported model computes something else than the source.",
    "OQ153": "The batch axis is fixed.",
    "OQ154": "The export was not checked against the source.",
    "OQ155": "The opset that was written is not the one that was asked for.",
    "OQ156": "Keras 2 wrote the file and Keras 3 read it; parity is against the latter.",
    "OQ157": "The file holds several sets of weights; one was used.",
    "OQ158": "The source does not compute in float32; its float32 twin stands for it.",
    "OQ159": "A recurrent layer was written as a loop of single steps.",
    "OQ160": "Tracing may have frozen what depends on values.",
    "OQ161": "The recipe is unknown.",
    "OQ162": "The recipe needs rows to calibrate on.",
    "OQ163": "The recipe finds nothing to quantize in this model.",
    "OQ164": "A scope speaks of nodes or operators that the model does not have.",
    "OQ165": "Two candidates are the same file.",
    "OQ166": "A static model has activations without calibrated ranges.",
    "OQ167": "Some weights are beyond what float16 can hold.",
    "OQ168": "A recipe is about bytes or accuracy more than about time.",
    "OQ169": "Some weights took another width than the recipe's name says.",
    "OQ170": "A share of the weights is exactly zero.",
    "OQ171": "The quantizer failed.",
    "OQ172": "The quantized model does not pass its gates.",
    "OQ173": "The model failed while running.",
    "OQ174": "An output has no row of its own for each row fed; it is not judged.",
    "OQ181": "A child process died of a signal.",
    "OQ182": "A child process ran into its time limit.",
    "OQ183": "A child process ran into its memory limit.",
    "OQ184": "The run was interrupted.",
    "OQ191": "The output folder holds files that are not onnxq's.",
    "OQ192": "The output folder cannot be written.",
    "OQ193": "The report was written by a newer onnxq.",
    "OQ201": "A quantized model is slower than float on this CPU.",
    "OQ204": "This CPU has no VNNI: int8 sums can saturate and int8 is slower.",
    "OQ205": "The machine was busy while latencies were measured.",
    "OQ207": "The time for measuring latencies did not suffice, or was exceeded.",
    "OQ208": "What a model costs cannot be told before it is run.",
    "OQ209": "More threads were asked for than this machine has cores.",
    "OQ301": "No recipe keeps the limits that were given.",
    "OQ302": "A node that should become integer stays float, and strict was asked for.",
    "OQ401": "A quantized model's outputs are constant, not finite or at chance level.",
    "OQ402": "A quantized model agrees little with the float model.",
}


def check_code(code: str) -> None:
    """Raise if a code is not registered.

    Args:
        code: A code such as ``OQ101``.

    Raises:
        KeyError: If the code has no meaning here.
    """
    if code not in CODES:
        message = f"code {code!r} is not registered in onnxq.codes"
        raise KeyError(message)
