// SPDX-License-Identifier: Apache-2.0

/// The report's style sheet. Colours are Okabe and Ito's, which colour-blind people can tell apart; nothing is said by
/// colour alone.
enum HTMLStyle {
    static let css = """
        :root{--bg:#fdfdfc;--ink:#1d1f21;--soft:#62676d;--faint:#d9dbdd;--hair:#ecedee;--accent:#0072b2;--limit:#1d1f21;\
        --peer:#8b9096;--bad:#c04a00;--band:#eceff1;--p0:#d55e00;--p1:#009e73;--p2:#a0568a;--p3:#b07a00;--p4:#3f7fa6;--p5:#7a5c3e;--p6:#5f6b2d}
        @media(prefers-color-scheme:dark){:root{--bg:#15171a;--ink:#e4e6e8;--soft:#9aa0a6;--faint:#3b4046;--hair:#24282c;\
        --accent:#56b4e9;--limit:#e4e6e8;--peer:#7d838a;--bad:#ff8c42;--band:#22272c;--p0:#f0884a;--p1:#3cc49b;--p2:#d795bf;--p3:#e6ae3c;--p4:#8fc3e0;--p5:#c3a382;--p6:#b4c26b}}
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%}
        body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
        main{max-width:1240px;margin:0 auto;padding:32px 24px 64px}
        h1{font-size:28px;font-weight:600;letter-spacing:-.01em;margin:0 0 4px}
        h2{font-size:19px;font-weight:600;margin:48px 0 6px}
        p{margin:0 0 10px;max-width:76ch}
        code{font:12.5px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;color:var(--soft)}
        a{color:var(--accent)}
        i{font-style:normal;color:var(--soft)}
        .lead,.method{color:var(--soft)}
        .method{font-size:13.5px}
        .warning{color:var(--bad);font-weight:600}
        nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:28px 0 0;font-size:13.5px}
        nav a{text-decoration:none}
        svg{display:block;width:100%;overflow:visible}
        svg text{font-size:11px;fill:var(--soft)}
        .panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(350px,100%),1fr));gap:26px 36px;margin:14px 0}
        .panels.wide{grid-template-columns:1fr}
        .panel{margin:0;min-width:0}
        figcaption{font-size:13.5px;font-weight:600;margin-bottom:4px}
        figcaption span{font-weight:400;color:var(--soft);margin-left:6px;font-size:12px}
        .strip{display:grid;grid-template-columns:minmax(0,35%) 1fr 46px 44px;column-gap:8px;align-items:center;font-size:12.5px;line-height:20px}
        .wide .strip{grid-template-columns:minmax(0,36%) 1fr 60px 52px}
        .strip .who{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--soft)}
        .strip .value,.strip .ratio{text-align:right;white-space:nowrap}
        .strip .ratio{color:var(--soft);font-size:11.5px}
        .strip.samara .who,.strip.samara .value{color:var(--accent);font-weight:600}
        .strip.samara .who i{color:var(--accent);font-weight:400}
        .strip.limit .who,.strip.limit .value{color:var(--ink)}
        .strip circle{fill:var(--peer);opacity:.38}
        .strip.samara circle{fill:var(--accent)}
        .strip.limit circle{fill:var(--limit);opacity:.3}
        .median{stroke:var(--peer);stroke-width:2.5}
        .samara .median{stroke:var(--accent)}
        .limit .median{stroke:var(--limit)}
        .limitline{stroke:var(--limit);stroke-width:1;stroke-dasharray:1 3;opacity:.55}
        .tick{stroke:var(--faint)}
        .beyond{fill:var(--soft)}
        .chart .plot{display:grid;grid-template-columns:42px minmax(0,1fr) minmax(90px,32%);column-gap:6px}
        .grid{stroke:var(--hair)}
        .line line{stroke-width:1.4;stroke-linecap:round}
        .line.samara line{stroke:var(--accent);stroke-width:2.6}.line.samara circle{fill:var(--accent)}
        .line.limit line{stroke:var(--limit);stroke-dasharray:3 3}.line.limit circle{fill:var(--limit)}
        text.samara{fill:var(--accent);font-weight:600}text.limit{fill:var(--limit)}
        \(peerColours)
        .names{overflow:hidden}
        .overview{margin:14px 0;font-size:13px}
        .group{margin:14px 0 0;font-size:12px;color:var(--soft);font-weight:600}
        .orow{display:grid;grid-template-columns:minmax(0,27%) 1fr minmax(0,27%);column-gap:14px;align-items:center;min-height:24px}
        .orow .who{overflow-wrap:anywhere;line-height:1.3}
        .orow .best{font-size:12px;line-height:1.3}
        .orow .best i{margin-left:8px;font-size:11.5px}
        .one{stroke:var(--accent);stroke-width:2}
        .orow circle.peer{fill:var(--peer);opacity:.6}
        .orow circle.limit{fill:var(--bg);stroke:var(--limit);stroke-width:1.4}
        .band{fill:var(--band)}
        .interval{stroke:var(--peer);stroke-width:2}
        .comparison circle{fill:var(--peer)}
        .comparison .regression circle{fill:var(--bad)}.comparison .regression .interval{stroke:var(--bad)}.regression .best{color:var(--bad);font-weight:600}
        .comparison .improvement circle{fill:var(--accent)}.comparison .improvement .interval{stroke:var(--accent)}.improvement .best{color:var(--accent);font-weight:600}
        .regression .best i,.improvement .best i{font-weight:400}
        .missing{font-size:13px;color:var(--soft);padding-left:18px;overflow-wrap:anywhere}
        details{margin-top:8px;font-size:13px}
        summary{cursor:pointer;color:var(--soft)}
        details ul{padding-left:18px;overflow-wrap:anywhere;color:var(--soft)}
        .scroll{overflow-x:auto;margin:10px 0}
        table{border-collapse:collapse;font-size:12.5px}
        th,td{padding:3px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--hair)}
        th[scope=row]{text-align:left;font-weight:400}
        thead th{font-weight:600;color:var(--soft);vertical-align:bottom}
        tr.samara td,tr.samara th{color:var(--accent);font-weight:600}
        .range{color:var(--soft)}
        dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 16px;font-size:13px}
        dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
        @media(max-width:700px){main{padding:20px 16px 48px}h1{font-size:23px}
        .wide .strip,.wide .strip.axis{grid-template-columns:1fr 52px 46px;row-gap:0}
        .wide .strip .who{grid-column:1/-1;line-height:16px;margin-top:4px}
        .wide .strip.axis .who{display:none}
        .strip{grid-template-columns:minmax(0,34%) 1fr 48px 42px;column-gap:8px}
        .orow{grid-template-columns:minmax(0,34%) 1fr;row-gap:0}.orow .best{grid-column:1/-1}
        dl{grid-template-columns:1fr}dt{margin-top:6px}}
        @media print{details>*{display:block}}
        """

    private static var peerColours: String {
        (0..<7).map {
            ".line.peer\($0) line{stroke:var(--p\($0))}.line.peer\($0) circle{fill:var(--p\($0))}text.peer\($0){fill:var(--p\($0))}"
        }.joined(separator: "\n")
    }
}
