"""An app with a binding that the host does not have."""

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(schedule="0 0 3 * * *", arg_name="night")
def nightly(night: func.TimerRequest) -> None:
    print(night)  # noqa: T201 - never runs
