"""A predictor that answers each text with itself: as slow, held up or broken as a test wants it."""

import threading
import time

from helpers.tasks import load_task

FIELDS = load_task("calendar").fields


class Echo:
    """Answers each text with itself as the action; remembers its batches. "boom" breaks it, "too long" is refused."""

    name, version, task = "calendar/echo", "abc", load_task("calendar")

    def __init__(self, seconds: float = 0.0):
        self.seconds, self.batches, self.gate = seconds, [], threading.Event()
        self.gate.set()

    def problem(self, text):
        return self.task.rows.bad_text(text) or ("text is too long" if "too long" in text else None)

    def predict(self, texts):
        self.gate.wait(10)
        self.batches.append(list(texts))
        time.sleep(self.seconds)
        if any("boom" in text for text in texts):
            raise RuntimeError(f"cannot read {texts}")
        return [
            {
                "fields": dict.fromkeys(FIELDS) | {"action": text},
                "spans": {"action": [{"start": 0, "end": len(text), "text": text}]},
                "confidence": dict.fromkeys(FIELDS, 0.5),
                "needs_review": ["notes"],
                "reasons": {},
            }
            for text in texts
        ]
