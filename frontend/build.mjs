// Makes what pages load from bridge/console/static/vendor, which is committed: neither running the bridge nor
// deploying it needs Node. `npm ci && node build.mjs`; an argument names another folder.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const folder = path.resolve(process.argv[2] ?? path.join(here, "../bridge/console/static/vendor"));

// By file: the name under which its script is found by pages; a stylesheet has none.
const BUNDLES = {
  "htmx.js": "htmx",
  "editor.js": "codemirror",
  "calendar.js": "fullcalendar",
  "calendar.css": null,
  "uplot.js": "uPlot",
  "uplot.css": null,
  "pico.css": null,
};

/** The packages that a bundle holds: name, version, and its licence in full. */
async function packagesOf(inputs) {
  const names = new Set();
  for (const input of Object.keys(inputs)) {
    const [, inside] = input.split(/node_modules\/(?!.*node_modules\/)/);
    if (inside) names.add(inside.split("/").slice(0, inside.startsWith("@") ? 2 : 1).join("/"));
  }
  return Promise.all(
    [...names].sort().map(async (name) => {
      const its = path.join(here, "node_modules", name);
      const { version, license } = JSON.parse(await readFile(path.join(its, "package.json"), "utf8"));
      const file = (await readdir(its)).find((one) => /^licen[sc]e/i.test(one));
      const words = file ? await readFile(path.join(its, file), "utf8") : `Licence: ${license}`;
      return { name, version, words: words.trim() };
    }),
  );
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
for (const [file, name] of Object.entries(BUNDLES)) {
  const { metafile, outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: [path.join("src", file)],
    outfile: path.join(folder, file),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    legalComments: "none", // they stand whole in the file of licences beside it
    metafile: true,
    write: false,
    ...(name && { globalName: name, footer: { js: `${name}=${name}.default??${name};` } }),
  });
  const packages = await packagesOf(metafile.inputs);
  const list = packages.map((one) => `${one.name} ${one.version}`).join(", ");
  await writeFile(path.join(folder, file), `/* ${list}; licences: ${file}.LICENSES.txt */\n${outputFiles[0].text}`);
  const licences = packages.map((one) => `${one.name} ${one.version}\n\n${one.words}\n`).join(`\n${"-".repeat(80)}\n\n`);
  await writeFile(path.join(folder, `${file}.LICENSES.txt`), licences);
}
