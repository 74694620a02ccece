"""The SDK without an agent: the group of one, the arena's allocator, metrics."""

import array
import json
import math
import os
import random
import socket
import tempfile
import threading
import unittest
from unittest import mock

import tally
from tally import _core, metrics
from tally._arena import ALIGN, Allocator


class AllocatorTest(unittest.TestCase):
    def test_regions_are_aligned_and_apart(self):
        rng, size = random.Random(1), 1 << 16
        allocator, held = Allocator(size), {}
        for _ in range(5000):
            if held and rng.random() < 0.5:
                offset = rng.choice(sorted(held))
                allocator.free(offset)
                del held[offset]
                continue
            want = rng.randrange(0, 3000)
            offset = allocator.alloc(want)
            if offset is None:
                continue
            self.assertEqual(offset % ALIGN, 0)
            self.assertLessEqual(offset + want, size)
            for other, length in held.items():
                self.assertTrue(offset + want <= other or other + length <= offset)
            held[offset] = max(want, 1)
        for offset in held:
            allocator.free(offset)
        self.assertEqual(allocator.alloc(size), 0)  # everything came back as one piece
        self.assertIsNone(allocator.alloc(1))
        self.assertRaises(KeyError, allocator.free, 64)


class AloneTest(unittest.TestCase):
    def setUp(self):
        self.env = mock.patch.dict(os.environ)
        self.env.start()
        for name in ("TALLY_SOCKET", "WORLD_SIZE"):
            os.environ.pop(name, None)
        self.default = mock.patch.object(_core, "DEFAULT_SOCKET", "/nonexistent/agent.sock")
        self.default.start()

    def tearDown(self):
        tally.shutdown()
        self.default.stop()
        self.env.stop()

    def test_group_of_one(self):
        self.assertFalse(tally.is_initialized())
        self.assertRaisesRegex(tally.CollectiveError, "init", tally.rank)
        tally.init()
        self.assertEqual((tally.rank(), tally.size(), tally.local_rank(), tally.local_size()), (0, 1, 0, 1))
        values = array.array("f", [1.5, -2.0, math.inf])
        for op in (tally.SUM, tally.MEAN, tally.MIN, tally.MAX):
            tally.allreduce(values, op)
        tally.broadcast(values, 0)
        self.assertEqual(values.tolist(), [1.5, -2.0, math.inf])
        self.assertEqual(tally.allgather(b"abc"), [b"abc"])
        self.assertEqual(tally.allgather(b""), [b""])
        tally.barrier()
        with self.assertRaises(tally.CollectiveError):
            tally.broadcast(values, 1)
        with self.assertRaises(tally.CollectiveError):
            tally.allreduce(bytearray(5))
        with self.assertRaises(tally.CollectiveError):
            tally.allreduce(memoryview(array.array("f", [1, 2, 3, 4]))[::2])

    def test_missing_agents_are_errors(self):
        os.environ["TALLY_SOCKET"] = "/nonexistent/agent.sock"
        self.assertRaisesRegex(tally.CollectiveError, "nothing is there", tally.init)
        del os.environ["TALLY_SOCKET"]
        os.environ["WORLD_SIZE"] = "4"
        self.assertRaisesRegex(tally.CollectiveError, "WORLD_SIZE is 4", tally.init)

    def test_not_an_agent(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "agent.sock")
            os.environ["TALLY_SOCKET"] = path
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
                self.assertRaisesRegex(tally.CollectiveError, "connecting to the agent", tally.init)
        self.assertFalse(tally.is_initialized())

    def test_a_spare_ends_with_the_job(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "agent.sock")
            os.environ["TALLY_SOCKET"] = path
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
                server.listen()

                def agent():
                    conn, _ = server.accept()
                    with conn:
                        hello = conn.recv(16)
                        conn.sendall(hello[:6] + bytes(35) + b"\1" + bytes(22))  # that all is over

                thread = threading.Thread(target=agent)
                thread.start()
                with self.assertRaises(SystemExit) as ended, mock.patch("sys.stderr"):
                    tally.init()
                thread.join()
        self.assertEqual(ended.exception.code, 0)
        self.assertFalse(tally.is_initialized())


class MetricsTest(unittest.TestCase):
    def test_lines(self):
        class Scalar:
            def item(self):
                return 0.25

        with tempfile.TemporaryDirectory() as d, mock.patch.dict(os.environ, {"OUTPUT_DIR": d}):
            metrics.log(step=3, loss=Scalar(), worst=math.nan, top=(1, math.inf), note="ü")
            metrics.log(accuracy=1)
            with open(os.path.join(d, "metrics.jsonl"), encoding="utf-8") as f:
                first, second = [json.loads(line) for line in f]
        self.assertGreater(first.pop("time"), 1.6e9)
        self.assertEqual(first, {"step": 3, "loss": 0.25, "worst": "nan", "top": [1, "inf"], "note": "ü"})
        self.assertEqual(second["accuracy"], 1)


if __name__ == "__main__":
    unittest.main()
