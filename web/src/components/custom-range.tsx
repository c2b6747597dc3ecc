import DateRangePicker, { type DateRangePickerProps } from "@cloudscape-design/components/date-range-picker";
import { parseMoment, type Range } from "../domain/range";

const TEXTS: DateRangePickerProps.I18nStrings = {
  applyButtonLabel: "Apply",
  cancelButtonLabel: "Cancel",
  clearButtonLabel: "Clear",
  startDateLabel: "Start date",
  startTimeLabel: "Start time (UTC)",
  endDateLabel: "End date",
  endTimeLabel: "End time (UTC)",
  dateTimeConstraintText: "UTC, 24-hour format",
  nextMonthAriaLabel: "Next month",
  previousMonthAriaLabel: "Previous month",
  todayAriaLabel: "Today",
  absoluteModeTitle: "Custom range",
  formatRelativeRange: () => "",
};

/** The picker's moments, which may come without an offset, are UTC. */
const utc = (text: string): string | null => parseMoment(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);

function check(value: DateRangePickerProps.Value | null): DateRangePickerProps.ValidationResult {
  if (value?.type !== "absolute") return { valid: false, errorMessage: "Choose a start and an end." };
  const [start, end] = [utc(value.startDate), utc(value.endDate)];
  return start && end && start < end
    ? { valid: true }
    : { valid: false, errorMessage: "The start must be before the end." };
}

/** Two moments in UTC. */
export default function CustomRange({ range, onChange }: { range: Range; onChange: (range: Range) => void }) {
  return (
    <DateRangePicker
      value={range.kind === "between" ? { type: "absolute", startDate: range.start, endDate: range.end } : null}
      onChange={({ detail }) => {
        if (detail.value?.type !== "absolute") return;
        const [start, end] = [utc(detail.value.startDate), utc(detail.value.endDate)];
        if (start && end) onChange({ kind: "between", start, end });
      }}
      isValidRange={check}
      relativeOptions={[]}
      rangeSelectorMode="absolute-only"
      timeOffset={0}
      getTimeOffset={() => 0}
      showClearButton={false}
      placeholder="Start and end"
      ariaLabel="Custom time range"
      i18nStrings={TEXTS}
      locale="en-GB"
    />
  );
}
