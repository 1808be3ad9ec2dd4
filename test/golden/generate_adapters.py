"""Makes test/golden/adapters/*: adapters as PEFT saves them over the checkpoints of training-heads/, and what PEFT and PyTorch make of them.

    pip install torch==2.13.0 transformers==5.18.0 peft==0.21.0
    python generate_adapters.py

A folder has adapter_config.json and adapter_model.safetensors as save_pretrained() writes them; golden.safetensors with `output.<name>` of the
base's batch, `grad.<name>` of every trained parameter and `merged.<name>` of what merge_adapter() changes, computed in float64 and stored as
float32; golden.json with the names and shapes of the file, and the losses of five AdamW steps.
"""
import copy
import json
import os
import warnings

import peft
import torch
import transformers

import safetensors_io

warnings.filterwarnings("ignore")
STEPS = 5
ADAMW = {"lr": 2e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
# Folder: the base in training-heads/, and LoraConfig.
CASES = {
    "sequence": ("BertForSequenceClassification-single", {"task_type": "SEQ_CLS", "r": 4, "lora_alpha": 8}),
    "words": ("BertForMaskedLM", {"target_modules": "all-linear", "bias": "all", "r": 3, "lora_alpha": 6, "use_rslora": True}),
    "tokens": ("BertForTokenClassification", {"task_type": "TOKEN_CLS", "target_modules": ["dense"], "bias": "lora_only", "r": 8, "lora_alpha": 4}),
    "answers": (
        "BertForQuestionAnswering",
        {
            "task_type": "QUESTION_ANS", "target_modules": r".*layer\.1\.attention\.self\.(query|key|value)", "r": 2, "lora_alpha": 2,
            "rank_pattern": {"value": 5}, "alpha_pattern": {r"layer\.1\.attention\.self\.key": 3},
        },
    ),
    "values": ("BertForSequenceClassification-regression", {"task_type": "SEQ_CLS", "target_modules": "all-linear", "bias": "all", "r": 1, "modules_to_save": ["pooler"]}),
    "pairs": ("BertForNextSentencePrediction", {"target_modules": ["query", "key", "seq_relationship"], "exclude_modules": ["encoder.layer.0.attention.self.key"], "r": 16, "lora_alpha": 16}),
}


def public(name):
    """A parameter's name as the file has it."""
    return name.replace(".modules_to_save.default", "").replace(".default.weight", ".weight")


def make(case, dtype):
    base, config = CASES[case]
    torch.manual_seed(700 + list(CASES).index(case))
    model = getattr(transformers, base.split("-")[0]).from_pretrained(f"training-heads/{base}", attn_implementation="eager").to(dtype)
    tuned = peft.get_peft_model(model, peft.LoraConfig(**copy.deepcopy(config)))
    g = torch.Generator().manual_seed(800 + list(CASES).index(case))
    with torch.no_grad():
        for name, p in tuned.named_parameters():
            if "lora_" in name:
                p.copy_((torch.randn(p.shape, generator=g, dtype=torch.float64) * (0.3 * p.shape[1] ** -0.5)).float().to(p.dtype))
            elif p.requires_grad:
                p.add_((torch.randn(p.shape, generator=g, dtype=torch.float64) * 0.05).float().to(p.dtype))
                p.copy_(p.float())
    return tuned.to(dtype).eval()


def batch(case):
    tensors = safetensors_io.load(f"training-heads/{CASES[case][0]}/golden.safetensors")
    return {k: v if v.is_floating_point() else v.long() for k, v in tensors.items() if not k.startswith("grad.")}


def run(case, dtype):
    tuned, inputs = make(case, dtype), batch(case)
    trained = {n: p for n, p in tuned.named_parameters() if p.requires_grad and "original_module" not in n}
    decays = lambda name: 0.0 if name.endswith("bias") or "LayerNorm" in name else ADAMW["weight_decay"]
    groups = [{"params": [p], "weight_decay": decays(n)} for n, p in trained.items()]
    optimizer = torch.optim.AdamW(groups, lr=ADAMW["lr"], betas=ADAMW["betas"], eps=ADAMW["eps"])
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    losses, gradients, outputs = [], {}, {}
    for step in range(STEPS):
        optimizer.zero_grad()
        # Not through PeftModelForQuestionAnswering, which leaves out token_type_ids.
        result = tuned.base_model(**inputs)
        result.loss.backward()
        losses.append(result.loss.item())
        if step == 0:
            outputs = {k: v.detach().clone() for k, v in result.items() if k != "loss"}
            gradients = {n: p.grad.clone() for n, p in trained.items()}
        optimizer.step()
    return outputs, gradients, losses


def merged(case):
    tuned = make(case, torch.float64)
    before = {n: m.base_layer.weight.detach().clone() for n, m in tuned.named_modules() if isinstance(m, peft.tuners.lora.Linear)}
    tuned.merge_adapter()
    after = {n: m.base_layer.weight.detach() for n, m in tuned.named_modules() if isinstance(m, peft.tuners.lora.Linear)}
    assert all(not torch.equal(before[n], after[n]) for n in before)
    return after


def golden(case):
    folder = os.path.join("adapters", case)
    tuned = make(case, torch.float32)
    tuned.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    state = peft.get_peft_model_state_dict(tuned)
    outputs, gradients, losses = run(case, torch.float64)
    _, singles, single_losses = run(case, torch.float32)
    tensors = {f"output.{k}": v.float() for k, v in outputs.items()}
    tensors.update({f"grad.{public(k)}": v.float() for k, v in gradients.items()})
    tensors.update({f"merged.{k}.weight": v.float() for k, v in merged(case).items()})
    safetensors_io.save(os.path.join(folder, "golden.safetensors"), tensors)
    relative = {k: ((singles[k].double() - v).norm() / v.norm()).item() for k, v in gradients.items() if v.norm() > 1e-9}
    # As config.json says; the folder of whoever ran this is no part of it.
    with open(os.path.join(folder, "adapter_config.json")) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = CASES[case][0]
    for key in ("target_modules", "modules_to_save"):
        if isinstance(config[key], list):
            config[key].sort()
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump(config, file, indent=1, sort_keys=True)
    result = {
        "versions": VERSIONS, "base": CASES[case][0], "adamw": ADAMW, "losses": losses,
        "config": CASES[case][1], "names": {k: list(v.shape) for k, v in sorted(state.items())},
        "zero": [public(k) for k, v in gradients.items() if v.norm() <= 1e-9],
        "float32_relative_error": max(relative.values()),
        "float32_loss_relative_error": max(abs(a - b) / b for a, b in zip(single_losses, losses)),
    }
    with open(os.path.join(folder, "golden.json"), "w") as file:
        json.dump(result, file, indent=1)
    print(f"{case:10} {losses[0]:.6f} {losses[-1]:.6f} {result['float32_relative_error']:.1e} {result['float32_loss_relative_error']:.1e} {len(gradients)} trained, {result['zero']}")


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    torch.set_num_threads(1)
    for case in CASES:
        golden(case)
