import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** The console is served by the server itself; `npm run dev` passes API calls on to a running one. */
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/eastwest/api/console",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 800,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "graph", test: /node_modules\/cytoscape/ },
            { name: "react", test: /node_modules\/(react|react-dom|scheduler)\// },
          ],
        },
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:7420" } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
