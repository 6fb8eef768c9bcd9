/** The thread that reads what a report is made of, so that nobody waits for it who has a container to start. */
import { ObserverCalls } from "./observer-calls.ts";
import { encodeError } from "./protocol.ts";
import { post, serve } from "./serve.ts";

try {
  serve(new ObserverCalls());
} catch (error) {
  post({ failed: encodeError(error) });
}
