"""An app with a binding that the host does not have."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="night", queue_name="nights", connection="AzureWebJobsStorage")
def nightly(night: func.QueueMessage) -> None:
    print(night)  # noqa: T201 - never runs
