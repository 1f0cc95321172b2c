"""Every other made-up path names something that is there, else most cases would end in a 404."""

import json
import os
import zlib

import schemathesis

KNOWN = json.loads(os.environ.get("ACCELD_KNOWN", "{}"))  # path of the contract: {parameter: value}


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    known = KNOWN.get(context.operation.path)
    if known and path_parameters and zlib.crc32(repr(sorted(path_parameters.items())).encode()) % 2:
        return {**path_parameters, **known}
    return path_parameters
