from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from tinygrad_cnn.report.markup import Markup, data_uri, element, fitted, joined, picture, table

HOSTILE = '</td><script>alert("1")</script>&\''


def pixels(uri: str) -> np.ndarray:
    image = pytest.importorskip("PIL.Image")
    head, content = uri.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(image.open(io.BytesIO(base64.b64decode(content))))


def test_what_is_no_markup_is_escaped():
    text = element("td", HOSTILE, element("b", HOSTILE), title=HOSTILE)
    assert text.count("<") == 4
    assert text.count(">") == 4
    assert text.count('"') == 2
    assert "&lt;/td&gt;&lt;script&gt;" in text
    assert isinstance(text, Markup)
    assert joined([1, None, Markup("<hr>"), "<"]) == "1<hr>&lt;"


def test_attributes():
    assert element("a", class_="x", aria_label=3, title=None) == '<a class="x" aria-label="3"></a>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_tables():
    text = table(["a", "<b"], [[1, element("i", "x")], ["<", ""]], numbers=(1,))
    assert text == (
        '<table><thead><tr><th>a</th><th class="number">&lt;b</th></tr></thead><tbody>'
        '<tr><td>1</td><td class="number"><i>x</i></td></tr><tr><td>&lt;</td><td class="number"></td></tr>'
        "</tbody></table>"
    )


@pytest.mark.parametrize("colours", [(), (3,)])
def test_pictures(colours):
    image = np.random.default_rng(0).integers(0, 255, (4, 6, *colours), np.uint8)
    np.testing.assert_array_equal(pixels(data_uri(image)), image)
    assert picture(image, 5, alt="<").endswith(' width="30" height="20" alt="&lt;">')
    assert fitted(image, 13, alt="").endswith(' width="12" height="8" alt="">')
    assert 'class="smooth"' not in fitted(image, 6)


def test_large_pictures_are_averaged():
    image = np.random.default_rng(0).integers(0, 255, (101, 43, 3), np.uint8)
    text = fitted(image, 20)
    small = pixels(text.split('"')[1])
    assert small.shape == (20, 8, 3)
    np.testing.assert_allclose(small[2, 3], image[10:15, 15:20].mean((0, 1)), atol=0.51)
    assert 'width="9" height="20" class="smooth"' in text
    assert pixels(fitted(image[:, :3], 20).split('"')[1]).shape == (20, 1, 3)
