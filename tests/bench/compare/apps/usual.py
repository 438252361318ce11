"""The usual alternative: FastAPI and uvicorn around RapidOCR and NudeNet, in one process.

`TUNED` unset: as most people write it. The handler reads the upload and calls the libraries, with their defaults.
`TUNED=1`: a pool of one thread per core, each with networks of its own, one thread inside each network (ONNX Runtime's
advice for many requests at a time), and the event loop stays free.

Both do less than the pipeline they are compared with: no hashes, codes, content type, limits, languages of rules or
evidence; a decision is thresholds and a handful of phrases.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI, HTTPException, Request

PHRASES = ("free bitcoin", "i will kill you", "claim your prize")
CORES = len(os.sched_getaffinity(0))


def load(tuned: bool) -> Callable[[bytes], dict[str, Any]]:
    """Networks in memory and the function that asks them."""
    from nudenet import NudeDetector
    from rapidocr import RapidOCR

    if tuned:
        import onnxruntime

        cv2.setNumThreads(1)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        detector = NudeDetector()
        # the library has no setting for it, so its session is replaced by one over the same file
        detector.onnx_session = onnxruntime.InferenceSession(
            detector.onnx_session._model_path, options, providers=["CPUExecutionProvider"]
        )
        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        reader = RapidOCR(params={"Global.log_level": "warning", **threads})
    else:
        detector = NudeDetector()
        reader = RapidOCR(params={"Global.log_level": "warning"})

    def moderate(data: bytes) -> dict[str, Any]:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise HTTPException(400, "not an image")
        labels = detector.detect(picture)
        text = list(reader(picture).txts or ())
        whole = " ".join(text).lower()
        if any(phrase in whole for phrase in PHRASES):
            decision = "block"
        elif any(label["class"].endswith("EXPOSED") and label["score"] > 0.6 for label in labels):
            decision = "review"
        else:
            decision = "allow"
        return {"decision": decision, "labels": labels, "text": text}

    return moderate


TUNED = os.environ.get("TUNED") == "1"
app = FastAPI()
_own = threading.local()
_pool = ThreadPoolExecutor(CORES)
_shared = None if TUNED else load(tuned=False)


def _in_pool(data: bytes) -> dict[str, Any]:
    if not hasattr(_own, "moderate"):
        _own.moderate = load(tuned=True)
    result: dict[str, Any] = _own.moderate(data)
    return result


async def moderate(request: Request) -> dict[str, Any]:
    """One image to one decision."""
    data = await request.body()
    if _shared is not None:
        return _shared(data)
    return await asyncio.get_running_loop().run_in_executor(_pool, _in_pool, data)


async def ready() -> dict[str, bool]:
    """Whether it serves."""
    return {"ready": True}


app.post("/moderate")(moderate)
app.get("/ready")(ready)
