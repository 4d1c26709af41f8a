"""An app with one timer, whose schedule is an app setting."""

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(schedule="%SCHEDULE%", arg_name="night")
def nightly(night: func.TimerRequest) -> None:
    print(night)  # noqa: T201 - that it starts is the point
