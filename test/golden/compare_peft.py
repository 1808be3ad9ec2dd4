"""Loads adapters that bertlet has saved with PEFT itself, and compares losses. What FOLDER holds, test/support/save-adapters.ts has written:

    node scripts/run-ts.mjs test/support/save-adapters.ts FOLDER
    pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
    python compare_peft.py FOLDER
"""
import json
import os
import sys

import peft
import torch
import transformers

import generate_adapters
import safetensors_io

if __name__ == "__main__":
    root = os.path.abspath(sys.argv[1])
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name)
        with open(os.path.join(folder, "loss.json")) as file:
            expected = json.load(file)
        base = expected["base"]
        generate_adapters.CASES[name] = (base, {})
        model = getattr(transformers, base.split("-")[0]).from_pretrained(f"training-heads/{base}", attn_implementation="eager").double().eval()
        tuned = peft.PeftModel.from_pretrained(model, folder).double().eval()
        names = set(safetensors_io.load(os.path.join(folder, "adapter_model.safetensors")))
        assert names == set(peft.get_peft_model_state_dict(tuned)), name
        inputs = {k: v.double() if v.is_floating_point() else v for k, v in generate_adapters.batch(name).items()}
        loss = tuned.base_model(**inputs).loss.item()
        print(f"{name:10} PEFT {loss:.9f} bertlet {expected['loss']:.9f}, {abs(loss - expected['loss']) / loss:.1e} apart, {len(names)} names")
        assert abs(loss - expected["loss"]) < 1e-6 * loss
