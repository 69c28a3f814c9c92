"""How a drawn flow looks: the style that an SVG file brings along and a page links to."""

from __future__ import annotations

STYLE = """\
.cti-flow{font:13px system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",sans-serif;fill:#14202f}
.cti-flow .paper{fill:#fff}
.cti-flow .box{fill:#f4f7fb;stroke:#6b7a92;stroke-width:1.3}
.cti-flow .talk .box{fill:#e6effd;stroke:#2f5fc4}.cti-flow .talk .mark{fill:#2f5fc4}
.cti-flow .decide .box{fill:#fff3d6;stroke:#946200}.cti-flow .decide .mark{fill:#946200}
.cti-flow .data .box{fill:#e0f4ea;stroke:#1a7547}.cti-flow .data .mark{fill:#1a7547}
.cti-flow .route .box{fill:#f2e8fb;stroke:#7a3fb0}.cti-flow .route .mark{fill:#7a3fb0}
.cti-flow .structure .box{fill:#eceff4;stroke:#53617a}.cti-flow .structure .mark{fill:#53617a}
.cti-flow .mark{fill:#6b7a92}
.cti-flow .id{font-weight:650;font-size:14px}.cti-flow .verb,.cti-flow .small{font-size:12px;fill:#46546b}
.cti-flow .chip rect{fill:#fff;stroke:#8593aa}.cti-flow .chip text{font-size:12px}
.cti-flow .chip .n,.cti-flow .visits{font-weight:650}
.cti-flow .end rect{fill:#3d4a5f;stroke:#3d4a5f}.cti-flow .end text{fill:#fff}
.cti-flow .line{fill:none;stroke:#6b7a92;stroke-width:1.5}.cti-flow .tip{fill:#6b7a92}
.cti-flow .fail .line,.cti-flow .line.fail{stroke-dasharray:5 4}
.cti-flow .back .line{stroke:#2f5fc4}.cti-flow .back .tip{fill:#2f5fc4}
.cti-flow .w2 .line{stroke-width:2.5}.cti-flow .w3 .line{stroke-width:4}.cti-flow .w4 .line{stroke-width:6}
.cti-flow .left{fill:#a3131b;font-size:12px;font-weight:650}.cti-flow .lost{fill:#c4272f}
.cti-flow .track{fill:#14202f;fill-opacity:.1}
.cti-flow .now rect{fill:#0f6b3c}.cti-flow .now text{fill:#fff;font-size:12px;font-weight:650}
.cti-flow .idle{opacity:.65}
@media (prefers-color-scheme:dark){
.cti-flow{fill:#e9eef6}.cti-flow .paper{fill:#18212e}
.cti-flow .box{fill:#222d3c;stroke:#8593aa}
.cti-flow .talk .box{fill:#1b2c50;stroke:#7ea6ff}.cti-flow .talk .mark{fill:#7ea6ff}
.cti-flow .decide .box{fill:#3b2e12;stroke:#e2ae4d}.cti-flow .decide .mark{fill:#e2ae4d}
.cti-flow .data .box{fill:#133526;stroke:#5cc690}.cti-flow .data .mark{fill:#5cc690}
.cti-flow .route .box{fill:#332148;stroke:#c69af0}.cti-flow .route .mark{fill:#c69af0}
.cti-flow .structure .box{fill:#263140;stroke:#a3b1c6}.cti-flow .structure .mark{fill:#a3b1c6}
.cti-flow .verb,.cti-flow .small{fill:#b9c5d6}
.cti-flow .chip rect{fill:#18212e;stroke:#6b7a92}.cti-flow .end rect{fill:#c9d3e0;stroke:#c9d3e0}
.cti-flow .end text{fill:#14202f}
.cti-flow .line{stroke:#93a2b8}.cti-flow .tip{fill:#93a2b8}
.cti-flow .back .line{stroke:#7ea6ff}.cti-flow .back .tip{fill:#7ea6ff}
.cti-flow .left{fill:#ff9a9a}.cti-flow .lost{fill:#ff7b7b}.cti-flow .track{fill:#fff;fill-opacity:.16}
.cti-flow .now rect{fill:#77dba2}.cti-flow .now text{fill:#0d2b1b}
}
"""
