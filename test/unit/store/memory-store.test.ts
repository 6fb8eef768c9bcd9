import { MemoryStore } from "../../../src/store/memory-store.ts";
import { behavesAsStore } from "../../support/store-contract.ts";

behavesAsStore("MemoryStore", async () => {
  const store = new MemoryStore();
  return { store, dispose: () => store.close() };
});

behavesAsStore("MemoryStore with small commits", async () => {
  const store = new MemoryStore(128);
  return { store, dispose: () => store.close() };
});
