#include "proxy/admin/status_style.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Up to 900 pixels each row of the domains' table is a card, as no table is narrow enough. */
const char status_style[] =
    ":root{color-scheme:light dark;--ground:#f5f6f8;--sheet:#ffffff;--text:#1b232d;"
    "--muted:#56616f;--line:#dde2e8;--sent:#2563b8;--kept:#24805b;--moot:#8a6100;--bad:#b3302a;"
    "--track:#e6eaef;--focus:#2563b8}"
    "@media(prefers-color-scheme:dark){:root{--ground:#11151a;--sheet:#1a2027;--text:#e5e9ee;"
    "--muted:#9ba7b4;--line:#2c343d;--sent:#79aef5;--kept:#5fbf93;--moot:#dba94a;--bad:#f28b82;"
    "--track:#2a323b;--focus:#79aef5}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:24px 20px 40px;max-width:1080px;background:var(--ground);"
    "color:var(--text);font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",sans-serif}"
    "h1{margin:0;font-size:24px;font-weight:650;letter-spacing:-.01em}"
    "h2{margin:0 0 12px;font-size:16px;font-weight:650}"
    "p{margin:4px 0}a{color:var(--sent)}"
    "a:focus-visible,input:focus-visible,button:focus-visible,summary:focus-visible{"
    "outline:2px solid var(--focus);outline-offset:2px;border-radius:4px}"
    ".muted,small,.axis,th{color:var(--muted)}small{font-size:13px}"
    "section{margin-top:16px;padding:20px;background:var(--sheet);border:1px solid var(--line);"
    "border-radius:12px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;"
    "margin:16px 0 0;padding:0}"
    ".tiles div{padding:14px 16px;background:var(--sheet);border:1px solid var(--line);"
    "border-radius:12px}"
    ".tiles dt{color:var(--muted);font-size:13px}"
    ".tiles dd{margin:0;font-size:26px;font-weight:650;line-height:1.25;"
    "font-variant-numeric:tabular-nums}"
    "svg{display:block;width:100%}.times{height:112px}.life{height:12px;min-width:120px}"
    ".sent{fill:var(--sent)}.kept{fill:var(--kept)}.moot{fill:var(--moot)}.bad{fill:var(--bad)}"
    ".track{fill:var(--track)}.rule{fill:var(--line)}.mark{fill:var(--text)}"
    ".axis{display:flex;justify-content:space-between;margin-top:4px;font-size:13px}"
    ".axis{margin-bottom:20px}.split{display:grid;grid-template-columns:repeat(auto-fit,minmax("
    "290px,1fr));gap:16px 32px;align-items:start}"
    "table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:8px 16px 8px 0;text-align:left;vertical-align:top;"
    "border-top:1px solid var(--line)}bdi{overflow-wrap:anywhere}time{white-space:nowrap}"
    "tr>:last-child{padding-right:0}"
    "th{font-size:13px;font-weight:500}tbody th{font-size:15px;color:var(--text)}"
    "thead th{border-top:0;padding-top:0}.count{text-align:right;width:5em}"
    ".key{display:inline-block;width:10px;height:10px;margin-right:8px}"
    ".state{font-weight:600;white-space:nowrap}"
    ".state.expired,.state.missing{color:var(--bad)}.state.held{color:var(--moot)}"
    ".state.due{color:var(--sent)}.state.fresh{color:var(--kept)}"
    "code{display:block;margin-top:4px;padding:6px 8px;background:var(--ground);border-radius:6px;"
    "font-size:13px;overflow-wrap:anywhere;user-select:all}"
    "td small,th small{display:block}.wide{width:22%}.name{width:45%}"
    "form{display:flex;flex-wrap:wrap;align-items:center;gap:8px;margin-bottom:16px}"
    "input,button{padding:6px 10px;font:inherit;color:inherit;background:var(--ground);"
    "border:1px solid var(--muted);border-radius:8px}"
    "input{flex:1 1 160px;min-width:0;max-width:320px}button{cursor:pointer}"
    "summary{margin-top:12px;cursor:pointer;color:var(--muted);font-size:13px}"
    "footer{margin-top:20px}nav a{margin-right:16px;white-space:nowrap}main>nav{margin-top:12px}"
    ".hide{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"
    "@media(max-width:640px){body{padding:16px 12px 32px}section{padding:16px}"
    ".tiles{grid-template-columns:1fr 1fr}}"
    "@media(min-width:901px){td[data-of]{white-space:nowrap}}"
    "@media(max-width:900px){.cards thead{display:none}.cards,.cards tbody,.cards tr,.cards "
    "th,.cards td{display:block;"
    "width:auto;padding-right:0}"
    ".cards tr{padding:12px 0;border-top:1px solid var(--line)}"
    ".cards th,.cards td{padding:2px 0;border:0}.cards tbody th{font-weight:650}"
    ".cards td:empty{display:none}.cards .life{margin:6px 0}.cards "
    "td[data-of]::before{content:attr(data-of) \": \";"
    "color:var(--muted)}.cards td small{display:inline}}";

/* A gate: two posts, a beam, and one of three bars let through. */
const char status_icon[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\">"
    "<rect width=\"32\" height=\"32\" rx=\"7\" fill=\"#2563b8\"/>"
    "<path d=\"M7 26V8h18v18M7 13h18\" fill=\"none\" stroke=\"#ffffff\" stroke-width=\"3\"/>"
    "<path d=\"M16 17v9\" stroke=\"#5fbf93\" stroke-width=\"4\"/></svg>\n";

void status_style_source(char text[static STATUS_STYLE_SOURCE_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char encoded[EVP_MAX_MD_SIZE * 2];
    unsigned len = 0;
    text[0] = '\0';
    if (EVP_Digest(status_style, strlen(status_style), digest, &len, EVP_sha256(), NULL) != 1)
        return;
    EVP_EncodeBlock(encoded, digest, (int)len);
    snprintf(text, STATUS_STYLE_SOURCE_SIZE, "'sha256-%.44s'", (const char *)encoded);
}
