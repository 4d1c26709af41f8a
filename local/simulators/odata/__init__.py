"""OData, as the simulators of Dynamics 365 read it: queries, filters, values, errors."""
