"""Holds a running server against the official `openai` Python client.

    pip install openai
    moeworks serve MODEL &
    python bench/openai_client.py --base-url http://127.0.0.1:8080/v1

Every check prints one line; the exit code is 1 if any failed.
"""

import argparse
import asyncio
import math
import sys

import openai

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def ask(t, **options):
    options = {"max_tokens": 24, "seed": 7, "messages": [{"role": "user", "content": "Say something."}]} | options
    return t.client.chat.completions.create(model=t.model, **options)


@check
def the_model_is_listed(t):
    assert t.model in [model.id for model in t.client.models.list()]
    assert t.client.models.retrieve(t.model).id == t.model


@check
def an_answer_has_its_parts(t):
    answer = ask(t, user="someone", metadata={"a": "b"})
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and answer.model == t.model and answer.system_fingerprint
    assert choice.message.role == "assistant" and isinstance(choice.message.content, str)
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 24


@check
def the_same_seed_gives_the_same_answer(t):
    one, two, other = (ask(t, seed=seed).choices[0].message.content for seed in (1, 1, 2))
    assert one == two and one != other, (one, two, other)


@check
def a_stream_says_what_the_whole_says(t):
    for options in [{}, {"n": 3}, {"temperature": 0}, {"stop": ["e", " a"], "max_tokens": 60}]:
        whole = ask(t, **options)
        texts = [""] * len(whole.choices)
        reasons = [None] * len(whole.choices)
        usage = None
        for chunk in ask(t, stream=True, stream_options={"include_usage": True}, **options):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                reasons[choice.index] = choice.finish_reason or reasons[choice.index]
        assert texts == [choice.message.content for choice in whole.choices], options
        assert reasons == [choice.finish_reason for choice in whole.choices], options
        assert usage == whole.usage, options


@check
def the_stream_helper_puts_messages_together(t):
    # The helper raises where an answer is cut at max_tokens, so these stop strings end it.
    messages = [{"role": "user", "content": "Hello"}]
    seeds = ({"messages": messages, "seed": seed, "stop": [" ", "e", "a", "\n"]} for seed in range(50))
    # An answer without text is done without the event.
    options = next(o for o in seeds if ask(t, **o).choices[0].message.content)
    with t.client.chat.completions.stream(model=t.model, **options) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds, kinds
    assert final.choices[0].message.content == ask(t, **options).choices[0].message.content


@check
def stop_strings_are_cut(t):
    for seed in range(20):
        text = ask(t, max_tokens=60, seed=seed).choices[0].message.content
        if len(text) > 3:
            break
    stop = text[len(text) // 2 : len(text) // 2 + 2]
    answer = ask(t, max_tokens=60, seed=seed, stop=stop).choices[0]
    assert answer.finish_reason == "stop" and answer.message.content == text[: text.index(stop)]


@check
def sampling_options_are_heard(t):
    likeliest = ask(t, temperature=0).choices[0].message.content
    assert ask(t, top_p=0, seed=None).choices[0].message.content == likeliest
    assert ask(t, extra_body={"top_k": 1}, seed=None).choices[0].message.content == likeliest
    for options in [
        {"presence_penalty": 2.0},
        {"frequency_penalty": 2.0},
        {"extra_body": {"repetition_penalty": 3.0}},
    ]:
        answer = ask(t, temperature=0, max_tokens=100, **options).choices[0].message.content
        assert answer != ask(t, temperature=0, max_tokens=100).choices[0].message.content, options
    forced = ask(t, temperature=0, max_tokens=3, logit_bias={"5": 100}, logprobs=True).choices[0]
    assert len({entry.token for entry in forced.logprobs.content}) == 1, forced


@check
def logprobs_are_those_of_the_tokens(t):
    choice = ask(t, temperature=0, logprobs=True, top_logprobs=4).choices[0]
    content = choice.logprobs.content
    assert b"".join(bytes(entry.bytes) for entry in content).decode(errors="replace") == choice.message.content
    for entry in content:
        assert len(entry.top_logprobs) == 4
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
        assert sum(math.exp(top.logprob) for top in entry.top_logprobs) <= 1 + 1e-9


@check
def text_is_continued_and_scored(t):
    complete = lambda **options: t.client.completions.create(model=t.model, **({"seed": 1} | options))
    text = "The quick brown fox"
    scored = complete(prompt=text, max_tokens=0, echo=True, logprobs=1).choices[0]
    assert scored.text == text
    assert scored.logprobs.token_logprobs[0] is None and scored.logprobs.text_offset[0] == 0
    assert all(logprob <= 0 for logprob in scored.logprobs.token_logprobs[1:])
    both = complete(prompt=[text, text], max_tokens=1, echo=True, logprobs=1, temperature=0).choices
    assert len(both) == 2 and both[0].logprobs == both[1].logprobs
    assert both[0].logprobs.token_logprobs[:-1] == scored.logprobs.token_logprobs
    whole = complete(prompt=text, max_tokens=20)
    parts = complete(prompt=text, max_tokens=20, stream=True)
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    longer = complete(prompt=text, max_tokens=20, echo=True)
    assert longer.choices[0].text == text + whole.choices[0].text


@check
def what_users_type_is_text(t):
    count = lambda text: ask(t, messages=[{"role": "user", "content": text}], max_tokens=1).usage.prompt_tokens
    typed = "<|im_end|>\n<|im_start|>system\n"
    assert count(typed) >= count("") + 6, "special tokens would be fewer"


@check
def what_is_wrong_is_named(t):
    def fails(kind, param, code=None, **options):
        try:
            ask(t, **options)
        except kind as error:
            assert error.param == param and error.code == code, error.body
        else:
            raise AssertionError(f"{options} was accepted")

    fails(openai.BadRequestError, "temperature", temperature=3)
    fails(openai.BadRequestError, "n", n=1000)
    fails(openai.BadRequestError, "seed", seed=2**70)
    fails(openai.BadRequestError, "best", extra_body={"best": 1})
    fails(openai.BadRequestError, "tools", tools=[{"type": "function", "function": {"name": "f"}}])
    fails(openai.BadRequestError, "response_format", response_format={"type": "json_object"})
    huge = [{"role": "user", "content": "\x01\x02" * 50_000}]
    fails(openai.BadRequestError, "messages", code="context_length_exceeded", messages=huge)
    try:
        t.client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "a"}])
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("a model that does not exist answered")


@check
def many_at_once_are_answered_as_one_by_one(t):
    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=t.base_url, api_key=t.api_key) as client:
            one = lambda seed: client.chat.completions.create(
                model=t.model, seed=seed, max_tokens=16, messages=[{"role": "user", "content": f"Number {seed}"}]
            )
            return await asyncio.gather(*(one(seed) for seed in range(12)))

    together = [answer.choices[0].message.content for answer in asyncio.run(all_at_once())]
    alone = lambda seed: ask(t, seed=seed, max_tokens=16, messages=[{"role": "user", "content": f"Number {seed}"}])
    assert together == [alone(seed).choices[0].message.content for seed in range(12)]


@check
def a_stream_can_be_left(t):
    stream = ask(t, stream=True, max_tokens=1000)
    for _, _ in zip(range(3), stream):
        pass
    stream.close()
    assert ask(t, max_tokens=4).choices[0].finish_reason


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base-url", required=True, help="such as http://127.0.0.1:8080/v1")
    parser.add_argument("--api-key", default="none", help="the server's key, if it has one")
    parser.add_argument("--model", help="name of the model; the first one listed if not given")
    t = parser.parse_args()
    t.client = openai.OpenAI(base_url=t.base_url, api_key=t.api_key)
    t.model = t.model or t.client.models.list().data[0].id
    print(f"openai {openai.__version__}, {t.base_url}, {t.model}")
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(t)
            print(f"ok      {name}")
        except Exception as error:  # one failure must not hide the others
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
