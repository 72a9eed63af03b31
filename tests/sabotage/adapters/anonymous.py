"""Somebody's log_softmax, who does not say that it is torch's."""


def hello(threads):
    import torch

    torch.set_num_threads(threads)
    return {"versions": {"anonymous": "1.0"}, "dtypes": ["float16", "bfloat16"], "threads": threads}


def evaluate(request, arrays):
    import torch

    def tensor(array):
        bits = array.dtype == "uint16"
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16) if bits else torch.from_numpy(array)

    def array(tensor):
        bits = tensor.dtype == torch.bfloat16
        return tensor.view(torch.int16).numpy().view("uint16") if bits else tensor.numpy()

    x = tensor(arrays["logits"]).requires_grad_()
    y = torch.log_softmax(x, request["axis"][0])
    y.backward(tensor(arrays["upstream"]))
    return {
        "output": (array(y.detach()), request["dtype"]),
        "gradient": (array(x.grad), request["dtype"]),
        "seconds": 0.0,
    }
