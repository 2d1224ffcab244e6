"""Reads a safetensors file by its published format and prints each tensor's name, shape and sum.

usage: read_safetensors.py FILE
"""
import json
import struct
import sys

data = open(sys.argv[1], "rb").read()
length = struct.unpack_from("<Q", data)[0]
header = json.loads(data[8:8 + length])
assert length % 8 == 0, length
end = 0
for name, entry in header.items():
    assert entry["dtype"] == "F32", entry
    begin, stop = entry["data_offsets"]
    assert begin == end, (name, begin, end)  # no holes
    end = stop
    count = (stop - begin) // 4
    values = struct.unpack_from(f"<{count}f", data, 8 + length + begin)
    print(name, "x".join(map(str, entry["shape"])), f"{sum(values):g}")
assert 8 + length + end == len(data), len(data)
