"""The course as a site: the lessons as pages with what they print, and around them what else there is to read.

`docs/` has the frame (Sphinx's configuration, the start page, the glossary, the look) and what is written by hand. The
rest has its source elsewhere and is turned into pages here: the lessons (`lessons`), what a teacher needs of each
(`teachers`) and its slides (`slides`), and what the package and the project's papers say of themselves (`papers`).
What is HTML of the site's own is made from templates (`rendering`). `build` puts it together.
"""
