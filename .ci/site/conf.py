"""Sphinx's settings for the site that ``make docs`` builds."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

project = "airflow-provider-hevo"
author = "the authors of airflow-provider-hevo"
release = re.search(r'__version__ = "(.+)"', (ROOT / "hevo_provider/__init__.py").read_text(encoding="utf-8"))[1]  # type: ignore[index]
extensions = ["myst_parser", "autoapi.extension", "sphinx_copybutton"]
suppress_warnings = ["autoapi.python_import_resolution"]  # of names inside the package, which the pages do not show

myst_heading_anchors = 3  # as the forge makes them

autoapi_dirs = [str(ROOT / "hevo_provider")]
autoapi_generate_api_docs = False  # docs/reference.md names what is public
autoapi_python_class_content = "class"
autoapi_options = ["members", "undoc-members"]
autodoc_typehints = "signature"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"{project} {release}"
html_show_sourcelink = False
html_copy_source = False
copybutton_prompt_text = "$ "
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
