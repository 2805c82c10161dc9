# Paste beside your aws_api_gateway_rest_api, here named `api`, and let the deployment's triggers depend on it.

locals {
  # A refused invocation is 500 today; INTEGRATION_FAILURE's own default would be 504.
  marked_gateway_responses = {
    THROTTLED           = "429"
    QUOTA_EXCEEDED      = "429"
    INTEGRATION_FAILURE = "500"
  }
}

resource "aws_api_gateway_gateway_response" "marked" {
  for_each = local.marked_gateway_responses

  rest_api_id   = aws_api_gateway_rest_api.api.id
  response_type = each.key
  status_code   = each.value

  response_parameters = {
    "gatewayresponse.header.x-gw-error" = "'${each.key}'"
  }
  response_templates = {
    "application/json" = "{\"message\":$context.error.messageString}"
  }
}
