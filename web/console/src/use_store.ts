/** Connects components to the store. */
import { useEffect, useState } from "preact/hooks";
import type { ConsoleState, ConsoleStore } from "./store";

/** The store's state; renders the component after each change. */
export function useStore(store: ConsoleStore): ConsoleState {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    const refresh = () => {
      setState(store.state);
    };
    refresh();
    return store.subscribe(refresh);
  }, [store]);
  return state;
}
