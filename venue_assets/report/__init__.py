"""The report: one HTML file about an event date or an activity, for who decides and for who checks.

subject.py          what it is about: a date or an activity, its venues
figures.py          metrics, asked through the semantic layer, with the days that they are compared with
losses.py           what did not arrive, and so which dates are damaged
people.py trials.py trust.py
                    what the registry cannot say, from published tables
findings.py comparisons.py trial_findings.py trust_findings.py
                    sentences computed from figures: titles of charts, headlines
charts.py           how figures are drawn (Altair)
sections/           figures, findings and charts put together, section by section
blocks.py           what a page is made of
page.py             the HTML, with page.html.jinja, page.css, page.js; vega.py has the script inlined there
wording.py          two languages, and how numbers are written
files.py            where reports lie
"""

from venue_assets.report.page import render
from venue_assets.report.subject import CannotReport

__all__ = ["CannotReport", "render"]
