include $(sort $(wildcard $(BR2_EXTERNAL_GATEPOST_PATH)/package/*/*.mk))
