import Button from "@cloudscape-design/components/button";
import FormField from "@cloudscape-design/components/form-field";
import Input from "@cloudscape-design/components/input";
import Modal from "@cloudscape-design/components/modal";
import { useState, type FormEvent } from "react";
import { ApiError, signIn } from "../api/client";
import { dismissToken, signedIn, useSession } from "../state/session";

/** Asks for the server's token when the server does. */
export function TokenPrompt() {
  const { tokenWanted, signIns } = useSession();
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  if (!tokenWanted) return null;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    signIn(token).then(
      () => {
        setToken("");
        setError("");
        signedIn();
      },
      (reason: unknown) => setError(reason instanceof ApiError ? reason.problem.detail : String(reason)),
    );
  };
  return (
    <Modal visible onDismiss={dismissToken} header="This server asks for its token" closeAriaLabel="Close">
      {signIns > 0 && <p>You were signed in, but the server no longer takes that: its token was changed.</p>}
      <form onSubmit={submit}>
        <FormField
          label="Token"
          description="It is in the file given to eastwest server as --token-file."
          errorText={error}
        >
          <Input
            type="password"
            value={token}
            onChange={({ detail }) => setToken(detail.value)}
            autoFocus
            name="token"
          />
        </FormField>
        <div className="ew-form-end">
          <Button variant="primary" formAction="submit" disabled={!token}>
            Sign in
          </Button>
        </div>
      </form>
    </Modal>
  );
}
