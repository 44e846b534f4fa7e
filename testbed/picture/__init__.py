"""Topologies and labs as pictures: what there is, who reaches whom, with which weight.

Values in, text out; only `drawing` acts (it runs Graphviz). A picture (`shapes`) is made by a view
(`physical`, `pods`, `services`) of a scene (`scene`), and spelled as dot, Mermaid or a page.
"""
