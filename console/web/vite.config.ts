import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";

/// Names what dist/ was built from, so that a test without node can tell when it is stale.
function builtFrom() {
  return {
    name: "built-from",
    closeBundle() {
      const files = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"];
      const walk = (folder: string) => {
        for (const entry of readdirSync(folder, { withFileTypes: true })) {
          const path = `${folder}/${entry.name}`;
          entry.isDirectory() ? walk(path) : files.push(path);
        }
      };
      walk("src");
      const line = (path: string, file: string) =>
        `${createHash("sha256").update(readFileSync(file)).digest("hex")}  ${path}\n`;
      const lines = files.sort().map((file) => line(`web/${file}`, file));
      lines.push(line("openapi.json", "../openapi.json"));
      for (const built of ["index.html", "console.js", "console.css"]) {
        lines.push(line(`dist/${built}`, join("../dist", built)));
      }
      writeFileSync("../dist/built-from.txt", lines.join(""));
    },
  };
}

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      output: { entryFileNames: "console.js", assetFileNames: "console[extname]", codeSplitting: false },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8090" } },
  plugins: [builtFrom()],
});
