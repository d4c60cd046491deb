"""What the server has executed since it started, as a Prometheus page."""

import threading
from collections import Counter

from follower.serve.tensorflow.prometheus import OWN


class Counters:
    """Counted from many threads."""

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name
        self._lock = threading.Lock()
        self._batches: Counter[int] = Counter()
        self._answers: Counter[str] = Counter()
        self._sums: Counter[str] = Counter(inferences=0, executions=0, queue_ns=0, inference_ns=0)

    def executed(self, size: int, inference_ns: int) -> None:
        """One batch of ``size`` samples."""
        with self._lock:
            self._batches[size] += 1
            self._sums.update(inferences=size, executions=1, inference_ns=inference_ns)

    def answered(self, code: str, queue_ns: int = 0) -> None:
        """One request, with the name of its status code and how long it waited."""
        with self._lock:
            self._answers[code] += 1
            self._sums["queue_ns"] += queue_ns

    def page(self) -> str:
        """In the text exposition format."""
        with self._lock:
            lines = [f"{OWN}{name} {value}" for name, value in self._sums.items()]
            lines += [f'{OWN}batches{{size="{size}"}} {count}' for size, count in sorted(self._batches.items())]
            lines += [
                f':tensorflow:serving:request_count{{model_name="{self._model_name}",status="{code}"}} {count}'
                for code, count in sorted(self._answers.items())
            ]
        return "\n".join(lines) + "\n"
