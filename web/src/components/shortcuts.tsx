import Modal from "@cloudscape-design/components/modal";
import { SHORTCUTS } from "../domain/keys";

export default function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Modal visible onDismiss={onClose} header="Keyboard" closeAriaLabel="Close" size="small">
      <dl className="ew-keys">
        {SHORTCUTS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
