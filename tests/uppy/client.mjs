// An unmodified Uppy outside of a browser: the one thing that Node lacks, XMLHttpRequest, is below.
//
// node client.mjs '{"uppy": folder, "gateway": url, "file": path, "then": "finish|leave|cancel",
//                   "resume": {"key": …, "uploadId": …}}'
//
// Prints one JSON object: what Uppy said, and how many parts it sent.

import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const told = JSON.parse(process.argv[2]);
const sent = [];
let begun = 0;

globalThis.XMLHttpRequest = class extends EventTarget {
  upload = new EventTarget();
  status = 0;
  statusText = "";
  readyState = 0;
  responseText = "";
  #headers = {};
  #answer = new Headers();
  #control = new AbortController();

  constructor() {
    super();
    for (const kind of ["load", "error", "abort", "timeout", "readystatechange", "loadend"]) {
      this.addEventListener(kind, (event) => this[`on${kind}`]?.(event));
    }
    this.upload.addEventListener("progress", (event) => this.upload.onprogress?.(event));
  }
  open(method, url) {
    Object.assign(this, { method, url, readyState: 1 });
  }
  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }
  getAllResponseHeaders() {
    return [...this.#answer].map(([name, value]) => `${name}: ${value}`).join("\r\n");
  }
  getResponseHeader(name) {
    return this.#answer.get(name);
  }
  abort() {
    this.#control.abort();
  }
  async send(body) {
    // A page that leaves is closed behind its first part, whatever Uppy began meanwhile: how far a
    // second one came would be anybody's guess.
    if (told.then === "leave" && begun++ > 0) return;
    try {
      const { method, url } = this;
      const signal = this.#control.signal;
      const answer = await fetch(url, { method, body, headers: this.#headers, signal });
      this.response = this.responseText = await answer.text();
      this.#answer = answer.headers;
      Object.assign(this, { status: answer.status, statusText: answer.statusText, readyState: 4 });
      if (answer.ok) sent.push(body.size);
      this.dispatchEvent(new Event("readystatechange"));
      this.dispatchEvent(new Event("load"));
    } catch {
      this.dispatchEvent(new Event(this.#control.signal.aborted ? "abort" : "error"));
    }
    this.dispatchEvent(new Event("loadend"));
  }
};
globalThis.navigator ??= { onLine: true };
globalThis.window ??= Object.assign(new EventTarget(), { navigator: { onLine: true } });

const at = (name) => import(pathToFileURL(`${told.uppy}/node_modules/${name}/lib/index.js`));
const [{ default: Uppy }, { default: AwsS3 }] = [await at("@uppy/core"), await at("@uppy/aws-s3")];

const uppy = new Uppy({ autoProceed: false }).use(AwsS3, {
  endpoint: told.gateway,
  companionEndpoint: told.gateway,
  headers: { "X-Client-Id": "uppy-test" },
  shouldUseMultipart: told.whole !== true,
  limit: 1,
  retryDelays: [],
});
const data = new Blob([await readFile(told.file)]);
const id = uppy.addFile({ name: "harbour lights.wav", type: "audio/wav", data });
if (told.resume) uppy.setFileState(id, { s3Multipart: told.resume });

function leave(said) {
  process.stdout.write(JSON.stringify({ sent, ...said }), () => process.exit(0));
}

if (told.then !== "finish") {
  uppy.on("s3-multipart:part-uploaded", () => {
    const multipart = uppy.getFile(id).s3Multipart;
    if (told.then === "leave") leave({ multipart }); // a page that is closed says nothing
    if (told.then === "cancel") {
      uppy.cancelAll();
      setTimeout(() => leave({ multipart }), 500); // its DELETE is on the way
    }
  });
}
const result = await uppy.upload().catch((error) => ({ failed: [{ error: String(error) }] }));
if (told.then === "finish") {
  leave({
    successful: (result?.successful ?? []).map((file) => file.response ?? {}),
    failed: (result?.failed ?? []).map((file) => String(file.error)),
  });
}
