/** The thread that reads what a report is made of, so that nobody waits for it who has a container to start. */
import { ObserverCalls } from "./observer-calls.ts";
import { serve } from "./serve.ts";

serve(() => new ObserverCalls());
