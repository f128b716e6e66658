from pathlib import Path

import pytest
from orchestrator.knowledge.personas import PERSONA_PHRASES, load_personas
from service_kit.errors import InvalidRequest

SHIPPED = Path(__file__).parents[3] / "content" / "personas"
LANGUAGES = {"en", "es", "fr", "pt", "hi", "de", "nl", "it"}


def complete(name: str = "Nora", **changed: str) -> str:
    phrases = {
        key: "".join(f"{{{place}}}" for place in places) or "words" for key, places in PERSONA_PHRASES.items()
    } | changed
    lines = "\n".join(f'{key} = "{text}"' for key, text in phrases.items())
    return f'name = "{name}"\ninstructions = "Speak."\n[phrases.en]\n{lines}\n'


def refusal(folder: Path) -> str:
    with pytest.raises(InvalidRequest) as refused:
        load_personas(folder)
    return str(refused.value)


def test_shipped_personas_speak_every_language():
    personas = load_personas(SHIPPED)
    assert {"anchor", "night-host"} <= personas.keys()
    for persona in personas.values():
        assert persona.phrases.keys() == LANGUAGES
        assert all(persona.phrase(key, language) for key in PERSONA_PHRASES for language in LANGUAGES)


def test_phrases_contain_the_persona_name(tmp_path: Path):
    (tmp_path / "anchor.toml").write_text(complete(greeting="I am {name}."))
    assert load_personas(tmp_path)["anchor"].phrase("greeting", "en") == "I am Nora."


def test_persona_inherits_missing_phrases_from_the_default(tmp_path: Path):
    (tmp_path / "anchor.toml").write_text(complete(greeting="I am {name}."))
    other = 'name = "Iris"\ninstructions = "Whisper."\n[voices]\nen = "slt"\n[phrases.en]\nthanks = "Sure."\n'
    (tmp_path / "other.toml").write_text(other)
    iris = load_personas(tmp_path)["other"]
    assert iris.phrase("greeting", "en") == "I am Iris."
    assert iris.phrase("thanks", "en") == "Sure."
    assert iris.voices == {"en": "slt"}
    assert iris.instructions == "Whisper."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "anchor.toml: Invalid value"),
        ('instructions = "Speak."', "anchor.toml, name: Field required"),
        ('name = ""\ninstructions = "Speak."', "anchor.toml, name: String should have at least 1 character"),
        ('name = "N"\ninstructions = "S"\nmood = "good"', "anchor.toml, mood: Extra inputs are not permitted"),
        ('name = "N"\ninstructions = "S"\n[phrases.en]\nthanks = 3', "anchor.toml, phrases.en.thanks: Input should be"),
        ('name = "N"\ninstructions = "S"', "anchor.toml, phrases.en: is missing"),
        ('name = "N"\ninstructions = "S"\n[phrases.en]', "anchor.toml, phrases.en.apology: is missing"),
        (complete(farewell="Bye."), "anchor.toml, phrases.en.farewell: is not one of apology"),
        (complete(news="News!"), "anchor.toml, phrases.en.news: has the wrong placeholders; expected: {title}"),
        (complete(thanks="For {what}?"), "anchor.toml, phrases.en.thanks: has the wrong placeholders; expected: none"),
        (complete(thanks="Open {"), "anchor.toml, phrases.en.thanks: "),
        (complete(thanks="Open {{x}}"), "anchor.toml, phrases.en.thanks: has a brace that belongs to no placeholder"),
        (complete(news="{title!r}"), "anchor.toml, phrases.en.news: has a brace that belongs to no placeholder"),
        (complete() + "x = " + "[" * 9_000, "anchor.toml: Nested too deeply"),
        (complete() + "x = " + "9" * 9_000, "anchor.toml: A number or a date is out of range"),
    ],
)
def test_invalid_persona_is_refused_with_its_file_and_key(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "anchor.toml").write_text(text)
    assert f"persona.invalid: {complaint}" in refusal(tmp_path)


def test_missing_default_persona_is_refused(tmp_path: Path):
    assert "anchor.toml is missing" in refusal(tmp_path)


def test_the_example_of_the_content_folder_is_a_persona(tmp_path: Path):
    section = (SHIPPED.parent / "README.md").read_text("utf-8").partition("## personas/")[2].partition("\n## ")[0]
    example = "\n".join(line.removeprefix("    ") for line in section.splitlines() if line.startswith("    "))
    for path in SHIPPED.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    (tmp_path / "ida.toml").write_text(example, "utf-8")
    persona = load_personas(tmp_path)["ida"]
    assert (persona.name, dict(persona.voices)) == ("Ida", {"en": "higgs:ana-0f3c2a11"})
    assert persona.phrases["en"]["greeting"] == "This is Ida with the shipping forecast."
