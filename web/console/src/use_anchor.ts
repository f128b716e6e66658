/** The page's only way to the anchor. */
import { useEffect, useState } from "preact/hooks";
import type { AnchorDesk, Desk } from "./desk";

/** What there is to show, drawn anew after each change. */
export function useAnchor(desk: AnchorDesk): Desk {
  const [shown, show] = useState(desk.desk);
  useEffect(() => {
    const refresh = () => {
      show(desk.desk);
    };
    refresh();
    return desk.subscribe(refresh);
  }, [desk]);
  return shown;
}
