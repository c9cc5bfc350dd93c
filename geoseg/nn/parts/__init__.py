"""Parts that several networks share: backbones, context modules and heads."""
